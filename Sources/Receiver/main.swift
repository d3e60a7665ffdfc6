import Hummingbird
import ArgumentParser
import Crypto
print("receiver")
