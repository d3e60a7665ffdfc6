#!/usr/bin/env python3
"""Copies an archive of `podman save --format docker-archive` without the parts that differ from one build to the next.

    archive.py FROM TO

That is the IDs of the containers in which the image was built, which its configuration names.
"""
import hashlib
import io
import json
import sys
import tarfile


def main(source, target):
    with tarfile.open(source) as old, tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as new:
        manifest = json.load(old.extractfile("manifest.json"))
        configuration = text(without_containers(json.load(old.extractfile(manifest[0]["Config"]))))
        name = hashlib.sha256(configuration).hexdigest() + ".json"
        add(new, name, len(configuration), io.BytesIO(configuration))
        for layer in manifest[0]["Layers"]:
            add(new, layer, old.getmember(layer).size, old.extractfile(layer))
        index = text([{"Config": name, "RepoTags": manifest[0]["RepoTags"], "Layers": manifest[0]["Layers"]}])
        add(new, "manifest.json", len(index), io.BytesIO(index))


def without_containers(configuration):
    for key in ("container", "container_config", "parent"):
        configuration.pop(key, None)
    configuration["config"].pop("Hostname", None)
    for step in configuration["history"]:
        step.pop("comment", None)
    return configuration


def text(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def add(archive, name, size, content):
    # Owner, mode and time are the same each time.
    member = tarfile.TarInfo(name)
    member.size = size
    archive.addfile(member, content)


if __name__ == "__main__":
    main(*sys.argv[1:])
