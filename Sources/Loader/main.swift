import ArgumentParser
print("loader")
