#!/usr/bin/env bash
# Builds the Debian package in .local/deb, for the release of Debian that this machine has, its programs statically linked to Swift's
# runtime. The programs stay, with their symbols, in .build-deb/release.
#
# SHELLY_BIN=DIR takes the two programs from DIR instead of building them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

output=$PWD/.local/deb
debian=$PWD/ops/deb/debian
work=$output/work
root=$work/root
doc=$root/usr/share/doc/shelly-collector

main() {
    ops/dev/packages.sh build package
    architecture=$(dpkg --print-architecture)
    # The same commit makes the same package.
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
    export SOURCE_DATE_EPOCH

    rm -rf "$work" "$output"/*.deb
    binaries=$work/programs
    ops/container/programs.sh "$binaries"
    find_version
    lay_out
    assemble
    report
}

# `0.2.0+deb12` for the commit with the tag v0.2.0 on Debian 12; before it `0.2.0~20261127063501.0123456789ab+deb12`, with the time of
# the programs' commit in UTC, so that apt takes a newer build for an upgrade of an older one, and the release for an upgrade of both. The
# package for Debian 13 is an upgrade of the one for 12. Where files differ from the commit it is the time of the build.
find_version() {
    find_own_version
    # shellcheck source=/dev/null
    version+=$(. /etc/os-release && echo "+${ID/#debian/deb}$VERSION_ID")
}

find_own_version() {
    local line commit
    line=$("$binaries/shelly-receiver" --version)
    version=${line%% *}
    if [[ $line != *'('*')' ]]; then
        echo "deb: the programs name no commit, so apt counts this package as older than any build with a commit" >&2
        version+='~0'
        return
    fi
    commit=${line#*(}
    commit=${commit%)}
    if [[ $commit != *+ && $(git tag --points-at "$commit" --list "v$version") ]]; then return; fi
    if [[ $commit == *+ ]]; then
        version+=\~$(date -u +%Y%m%d%H%M%S).$commit
    else
        version+=\~$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y%m%d%H%M%S "$commit").$commit
    fi
}

# The package's tree, as it will be below /.
lay_out() {
    local program
    mkdir -p "$doc"

    for program in shelly-receiver shelly-loader; do
        install -D "$binaries/$program" "$root/usr/bin/$program"
        mkdir -p "$root/usr/share/man/man1"
        ops/deb/manual.py "$root/usr/bin/$program" "$version" "$(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" '+%B %e, %Y')" \
            "ops/deb/man/$program.mdoc" | gzip -9n >"$root/usr/share/man/man1/$program.1.gz"
        complete "$program" bash "bash-completion/completions/$program"
        complete "$program" zsh "zsh/vendor-completions/_$program"
        complete "$program" fish "fish/vendor_completions.d/$program.fish"
    done

    mkdir -p "$root/lib/systemd/system" "$root/etc/shelly-collector"
    install -m 644 ops/systemd/*.service ops/systemd/*.timer "$root/lib/systemd/system"
    install -m 640 "$debian/shelly-collector.env" "$root/etc/shelly-collector"

    install -Dm 644 "$debian/lintian-overrides" "$root/usr/share/lintian/overrides/shelly-collector"
    install -m 644 "$debian/copyright" "$doc"
    lay_out_documents
    notices | gzip -9n >"$doc/notices.gz"
    changelog | gzip -9n >"$doc/changelog.gz"
    find "$root" -type d -exec chmod 755 {} +
}

# The pages and all files that they link to, in the folders of the checkout, so that each link has its target; and the examples and
# tools for users, without their tests.
lay_out_documents() {
    tar --create --exclude='*.sh' --exclude='*_test.yml' --exclude=check.py --exclude=test --exclude=.gitignore \
        --exclude=__pycache__ --exclude=node_modules \
        README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE docs Sources/Receiver/Resources/openapi.json \
        ops/cloudflare ops/container ops/grafana ops/mqtt ops/prometheus ops/proxy ops/systemd |
        tar --extract --directory "$doc"
    find "$doc" -type f -exec chmod 644 {} +
}

complete() {
    mkdir -p "$(dirname "$root/usr/share/$3")"
    # They are sourced, not run.
    "$root/usr/bin/$1" --generate-completion-script "$2" | sed '1{/^#!/d}' >"$root/usr/share/$3"
}

# The notices that the licences of the linked packages require.
notices() {
    local file
    for file in .build-deb/checkouts/*/NOTICE.txt; do
        printf '==== %s\n\n' "$(basename "$(dirname "$file")")"
        cat "$file"
        echo
    done
    printf '==== llhttp\n\n'
    cat ".build-deb/checkouts/swift-nio/Sources/CNIOLLHTTP/LICENSE"
}

changelog() {
    cat <<END
shelly-collector ($version) unstable; urgency=medium

  * See /usr/share/doc/shelly-collector/CHANGELOG.md.

 -- $(sed -n 's/^Maintainer: //p' "$debian/control")  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END
}

# dpkg's own tools find the libraries' packages and write the control file.
assemble() {
    local script
    mkdir -p "$work/debian" "$root/DEBIAN"
    cp "$debian/control" "$work/debian"
    changelog >"$work/debian/changelog"
    (
        cd "$work"
        dpkg-shlibdeps -T"$work/substvars" "$root"/usr/bin/*
        dpkg-gencontrol -T"$work/substvars" -P"$root" -f"$work/files" -v"$version"
    )
    for script in postinst prerm postrm; do install -m 755 "$debian/$script" "$root/DEBIAN/$script"; done
    install -m 644 "$debian/templates" "$root/DEBIAN/templates"
    (cd "$root" && find etc -type f -printf '/%p\n') >"$root/DEBIAN/conffiles"
    (cd "$root" && find . -path ./DEBIAN -prune -o -path ./etc -prune -o -type f -printf '%P\0' | sort -z |
        xargs -0 md5sum) >"$root/DEBIAN/md5sums"
    find "$root" -exec touch --no-dereference -d "@$SOURCE_DATE_EPOCH" {} +

    package=$output/shelly-collector_${version}_$architecture.deb
    dpkg-deb --root-owner-group -Zxz --build "$root" "$package"
}

report() {
    local program
    for program in shelly-receiver shelly-loader; do
        printf '%-16s %4.1f MB stripped\n' "$program" "$(stat -c %s "$root/usr/bin/$program" | awk '{ print $1 / 1e6 }')"
    done >&2
    printf '%-16s %4.1f MB\n' package "$(stat -c %s "$package" | awk '{ print $1 / 1e6 }')" >&2
    echo "$package"
}

main "$@"
