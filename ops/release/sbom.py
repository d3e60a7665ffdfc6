#!/usr/bin/env python3
"""Writes the software bill of materials, CycloneDX 1.5 in JSON, on standard output.

    sbom.py VERSION EPOCH SWIFT SUITE PINS BUILD PACKAGES >sbom.json

PINS is SwiftPM's Package.resolved, and BUILD the directory of the build: of the packages in PINS, those with a module that is linked
into a program are listed, and the C libraries whose source they carry. PACKAGES has a line NAME VERSION ARCHITECTURE for each Debian package that the programs need, all of them from the release of Debian whose code name is SUITE. SWIFT is the version of the
toolchain, whose runtime and standard library are linked in. EPOCH, in Unix seconds, is the time that the bill names.
"""
import datetime
import json
import pathlib
import re
import sys


def main(version, epoch, swift, suite, pins, build, packages):
    build = pathlib.Path(build)
    linked = linked_modules(build)
    checkouts = build / "checkouts"
    components = [
        swift_package(pin) for pin in json.loads(pathlib.Path(pins).read_text(encoding="utf-8"))["pins"]
        if any((checkouts / pin["identity"] / "Sources" / module).is_dir() for module in linked)]
    components += [carried(checkouts) for module, carried in CARRIED.items() if module in linked]
    components += [debian_package(suite, *line.split()) for line in pathlib.Path(packages).read_text(encoding="utf-8").splitlines()]
    components.append(component("framework", "swift", swift, f"pkg:github/swiftlang/swift@swift-{swift}-RELEASE"))
    components.sort(key=lambda component: component["purl"])
    program = {
        "type": "application", "name": "shelly-collector", "version": version, "bom-ref": f"shelly-collector@{version}",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    time = datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc)
    print(json.dumps({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": program},
        "components": components,
        "dependencies": [{"ref": program["bom-ref"], "dependsOn": [component["bom-ref"] for component in components]}],
    }, indent=1))


def swift_package(pin):
    # `https://github.com/apple/swift-nio.git` is pkg:swift/github.com/apple/swift-nio@VERSION.
    place = re.sub(r"^https://|\.git$", "", pin["location"])
    state = pin["state"]
    version = state.get("version") or state["revision"]
    return component("library", place.rpartition("/")[2], version, f"pkg:swift/{place}@{version}") | {
        "properties": [{"name": "git:revision", "value": state["revision"]}],
    }


def linked_modules(build):
    """The modules with objects in the receiver or the loader."""
    lists = [next(build.glob(f"*/*/{program}.product/Objects.LinkFileList")) for program in ("shelly-receiver", "shelly-loader")]
    return {module for file in lists for module in re.findall(r"/(\w+)\.build/", file.read_text(encoding="utf-8"))}


def boringssl(checkouts):
    text = (checkouts / "swift-nio-ssl/Sources/CNIOBoringSSL/hash.txt").read_text(encoding="utf-8")
    revision = re.search(r"revision ([0-9a-f]{40})", text)[1]
    return component("library", "boringssl", revision, f"pkg:github/google/boringssl@{revision}")


def llhttp(checkouts):
    text = (checkouts / "swift-nio/Sources/CNIOLLHTTP/include/c_nio_llhttp.h").read_text(encoding="utf-8")
    version = ".".join(re.search(rf"LLHTTP_VERSION_{part} (\d+)", text)[1] for part in ("MAJOR", "MINOR", "PATCH"))
    return component("library", "llhttp", version, f"pkg:github/nodejs/llhttp@v{version}")


#: Libraries whose source a package carries, by the module that it is compiled into.
CARRIED = {"CNIOBoringSSL": boringssl, "CNIOLLHTTP": llhttp}


def debian_package(suite, name, version, architecture):
    # A version may have an epoch's colon and a `+`, which purl encodes.
    encoded = version.replace("%", "%25").replace(":", "%3A").replace("+", "%2B")
    purl = f"pkg:deb/debian/{name.replace('+', '%2B')}@{encoded}?arch={architecture}&distro={suite}"
    return component("library", name, version, purl)


def component(kind, name, version, purl):
    return {"type": kind, "name": name, "version": version, "purl": purl, "bom-ref": purl}


if __name__ == "__main__":
    main(*sys.argv[1:])
