# The pinned sources by name, and `version`.
#
# pins.json names for each its places and its hash. The hash decides what is built; which place it
# came from has no influence on anything. With a working tree (`source`) the sources that lie in it
# are taken from there as they are. `server`, `lifecycle` and what begins with `web` are parts of the
# whole source; where the pins name none, they lie in a tree themselves, as those of the sample do.
{
  lib,
  fetchPlaces,
  pins,
  pinsFile,
  source,
}:

let
  version = if source == null then pins.version else (lib.importJSON (source + "/package.json")).version;

  # What macOS leaves in folders is nobody's source.
  ofMac = path: builtins.match "\\.DS_Store|\\._.*" (baseNameOf path) != null;

  fromTree = lib.optionalAttrs (source != null) {
    authentik = builtins.path {
      name = "authentik-source";
      path = source;
      filter =
        path: _:
        !(
          ofMac path
          || builtins.elem (baseNameOf path) [
            ".git"
            "node_modules"
          ]
        );
    };
    schema = builtins.path {
      name = "schema.yml";
      path = source + "/schema.yml";
    };
    ts-templates = builtins.path {
      name = "ts-templates";
      path = source + "/scripts/api/ts-templates";
      filter = path: _: !ofMac path;
    };
  };

  # The parts of a tree that a component is built from: a change of anything else builds nothing anew.
  partsOf = tree: {
    # all that Go compiles or embeds: what `go mod vendor` finds in it is what it finds in the whole
    server = partOf tree "authentik-server-source" (
      type: is:
      is "(cmd|internal|packages/client-go)(/.*)?"
      || (
        if type == "directory" then
          is "packages|authentik(/lib)?|web"
        else
          is "go\\.(mod|sum|work)|authentik/lib/[^/]*\\.(go|yml)|web/[^/]*\\.(go|txt)"
      )
    );
    # what uv reads
    python-lock = heldToPins tree (partOf tree "authentik-python-lock" (
      type: is:
      if type == "directory" then
        is "packages(/[^/]+)?"
      else
        is "pyproject\\.toml|uv\\.lock|packages/[^/]+/pyproject\\.toml"
    ));
    # the Django project, its translations and the packages of its tree; the icon that mails show
    python = partOf tree "authentik-python-source" (
      type: is:
      !(is "(.*/)?(node_modules|__pycache__)")
      && (
        is "(authentik|lifecycle|blueprints|locale|web/icons)(/.*)?|manage\\.py|web"
        || is "packages(/(ak-guardian|django-[^/]+)(/.*)?)?"
      )
      && (type != "directory" || !(is "lifecycle/(aws|container)"))
    );
    # what `npm ci` reads; tarballs, if the lock file names such beside it
    web-lock = partOf (tree + "/web") "authentik-web-lock" (
      type: is:
      if type == "directory" then
        is "packages(/[^/]+)?|packed"
      else
        is "package(-lock)?\\.json|packages/[^/]+/package\\.json|packed/[^/]+\\.tgz"
    );
    # the web UI, the package.json that has its version, and the documentation that it shows
    web = partOf tree "authentik-web-source" (
      type: is:
      !(is "(.*/)?(node_modules|\\.wireit)" || is "web/(dist|out)")
      && (
        is "package\\.json|web(/.*)?"
        || (if type == "directory" then is "website(/docs(/.*)?)?" else is "website/docs/.*\\.mdx?")
      )
    );
    # the server's pages, which name what they load of the web UI
    web-templates = partOf tree "authentik-templates" (
      type: is:
      if type == "directory" then
        is "authentik(/.*)?" && !(is "(.*/)?(node_modules|tests|migrations)")
      else
        is "authentik/(.*/)?templates/.*\\.html"
    );
    lifecycle = builtins.path {
      name = "lifecycle";
      path = tree + "/lifecycle";
      filter = path: _: !ofMac path;
    };
    web-icons = builtins.path {
      name = "web-icons";
      path = tree + "/web/authentik";
      filter = path: _: !ofMac path;
    };
  };

  # The Python packages that are modules of pinned sources, by name: at which revision.
  git-packages = builtins.mapAttrs (_: pin: pin.version) (lib.filterAttrs (_: pin: pin ? module) pins.sources);

  # `result`, if the lock file of the tree takes what it takes from git at the pinned revisions.
  # python-deps asks the same while it builds: the lock file of a pinned source can't be read before that.
  heldToPins =
    tree: result:
    let
      locked = lib.optionals (builtins.pathExists (tree + "/uv.lock")) (
        builtins.filter (package: package.source ? git)
          (builtins.fromTOML (builtins.readFile (tree + "/uv.lock"))).package
      );
      check =
        package:
        let
          rev = builtins.head (builtins.match ".*#([^#]*)" package.source.git);
          pinned = git-packages.${package.name} or null;
        in
        if pinned == null then
          throw "uv.lock of ${toString tree} takes the package ${package.name} from git (${package.source.git}), and ${toString pinsFile} has no pin `sources.${package.name}` with a `module`"
        else if pinned != rev then
          throw "uv.lock of ${toString tree} takes the package ${package.name} at ${rev}, and the pin `sources.${package.name}` in ${toString pinsFile} is at ${pinned}: put the revision of the lock file there as `version` and ${lib.fakeHash} as `hash`; `cargo xtask test-build python-deps --write-pins` finds the right one"
        else
          true;
    in
    assert builtins.all check locked;
    result;

  # The files below `tree` of which `keep` says so, asked by type and a function that matches a pattern
  # with the path below `tree`.
  partOf =
    tree: name: keep:
    builtins.path {
      inherit name;
      path = tree;
      filter =
        path: type:
        let
          root = builtins.stringLength (toString tree) + 1;
          below = builtins.substring root (builtins.stringLength path - root) path;
        in
        !ofMac path && keep type (pattern: builtins.match pattern below != null);
    };

  parts =
    if source != null then
      partsOf source
    else if pins.sources ? authentik then
      {
        server = pinned.authentik;
        lifecycle = "${pinned.authentik}/lifecycle";
        python = pinned.authentik;
        python-lock = pinned.authentik;
        web = pinned.authentik;
        web-lock = "${pinned.authentik}/web";
        web-templates = pinned.authentik;
        web-icons = "${pinned.authentik}/web/authentik";
      }
    else
      partsOf (dirOf pinsFile);

  pinned = builtins.mapAttrs fromPin pins.sources;

  # A file beside the pins, which has to be what its pin says.
  fromFile =
    name: pin: file:
    let
      path = dirOf pinsFile + "/${file}";
      flat = pin.mode or "recursive" == "flat";
      given = builtins.path {
        inherit name path;
        recursive = !flat;
      };
      pinned = derivation {
        inherit name;
        system = "none";
        builder = "none";
        outputHash = pin.hash;
        outputHashMode = if flat then "flat" else "recursive";
      };
    in
    if !builtins.pathExists path then
      throw "${toString pinsFile}: the pin `${name}` names the file ${file}, which does not exist"
    else if builtins.unsafeDiscardStringContext given == builtins.unsafeDiscardStringContext pinned.outPath then
      given
    else
      throw "${toString pinsFile}: ${file} is not what the pin `${name}` says (${pin.hash}); its own hash: cargo xtask hash ${lib.optionalString flat "--flat "}${toString path}";

  fromPin =
    name: pin:
    let
      place = builtins.head pin.places;
    in
    if place ? file then
      fromFile name pin place.file
    else
      fetchPlaces {
        inherit name pin;
        version = pin.version or pins.version;
        inherit pinsFile;
      };
in
pinned
// fromTree
// parts
// {
  # Those of them have no pin, and to look at one is to copy it: a whole working tree may hold secrets.
  from-tree = builtins.attrNames fromTree;
  inherit git-packages version;
  # the steps of the sign-in test that can't be done with it: only a sample may lack any
  leave-out = if source == null && !(pins.sources ? authentik) then dirOf pinsFile + "/signs-in.json" else null;
}
