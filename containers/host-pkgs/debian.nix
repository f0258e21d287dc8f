# The Debian packages that files of the host come from: `debian.packages NAMES` is a line for each of these and
# of the libraries that they depend on: version, content, and the programs and shared libraries in it. As an
# argument of a derivation this has it made anew after an update, which the files that a builder sees at
# /host/usr do not.
#
# dpkg's records are read while evaluating: on another distribution, and for a /usr that is not the host's,
# there are none.
{
  lib,
  # a /usr that is not the host's: its files are in the store, and so are themselves what they are
  foreignUsr ? null,
  # what dpkg knows of this machine
  admin ? /var/lib/dpkg,
}:

let
  status = admin + "/status";

  # split gives what is between the names, and the names; an alternative at the beginning would take twice as long
  parts = builtins.split "\nPackage: ([^\n]*)\n" ("\n" + builtins.readFile status);
  installed =
    if !builtins.pathExists status then
      { }
    else
      builtins.listToAttrs (
        builtins.genList (at: {
          name = builtins.head (builtins.elemAt parts (2 * at + 1));
          value = builtins.elemAt parts (2 * at + 2);
        }) (builtins.length parts / 2)
      );

  # the value of a field in the record of a package
  field =
    name: record:
    let
      found = builtins.split "\n${name}: ([^\n]*)" ("\n" + record);
    in
    if builtins.length found < 2 then "" else builtins.head (builtins.elemAt found 1);

  # the names in a list of dependencies, of alternatives all; what is no library has no part in what is copied
  dependencies =
    record:
    lib.filter (name: builtins.match "(lib|python|postgresql|zlib).*" name != null) (
      map builtins.head (
        lib.filter builtins.isList (
          builtins.split "([a-z0-9][a-z0-9+.-]+)[^,|]*" (
            field "Depends" record + ", " + field "Pre-Depends" record
          )
        )
      )
    );

  closure =
    names:
    map (item: item.key) (
      builtins.genericClosure {
        startSet = map (key: { inherit key; }) (lib.filter (name: installed ? ${name}) names);
        operator =
          item:
          map (key: { inherit key; }) (
            lib.filter (name: installed ? ${name}) known.${item.key}.dependencies
          );
      }
    );

  # what `f` gives of a file that dpkg has about a package
  about =
    name: kind: f:
    let
      files = lib.filter builtins.pathExists (
        map (suffix: admin + "/info/${name}${suffix}.${kind}") [
          ""
          ":amd64"
        ]
      );
    in
    if files == [ ] then "-" else f (builtins.head files);

  # of all its files, as dpkg noted them
  content = name: about name "md5sums" (builtins.hashFile "sha256");
  programs =
    name:
    about name "list" (
      file:
      lib.concatMapStringsSep " " builtins.head (
        lib.filter builtins.isList (
          builtins.split "/(bin/[^/\n]+|[^/\n]+\\.so[^/\n]*)\n" (builtins.readFile file)
        )
      )
    );

  # what is said of each package, once for all that depend on it
  known = builtins.mapAttrs (name: record: {
    dependencies = dependencies record;
    line = "${name} ${field "Version" record} ${content name} ${programs name}\n";
  }) installed;

  # What an os-release says of a distribution, such as `debian-12`.
  releaseOf =
    file:
    let
      text = "\n" + builtins.readFile file;
      value =
        name:
        let
          found = builtins.match ".*\n${name}=\"?([^\"\n]*)\"?\n.*" text;
        in
        if found == null then "" else builtins.head found;
      version = value "VERSION_ID";
    in
    # testing and unstable have no number
    "${value "ID"}-${if version != "" then version else value "VERSION_CODENAME"}";
in
{
  packages =
    names:
    let
      list = "${foreignUsr}/share/host-pkgs/packages";
    in
    if foreignUsr == null then
      lib.concatMapStringsSep "" (name: known.${name}.line) (closure names)
    else if builtins.pathExists list then
      builtins.readFile list
    else
      "";

  release =
    let
      foreign = "${foreignUsr}/lib/os-release";
      here = lib.filter builtins.pathExists [
        /etc/os-release
        /usr/lib/os-release
      ];
    in
    if foreignUsr != null then
      (if builtins.pathExists foreign then releaseOf foreign else "debian-sid")
    else if here == [ ] then
      "unknown"
    else
      releaseOf (builtins.head here);
}
