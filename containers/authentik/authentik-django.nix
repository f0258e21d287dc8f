# The backend: the venv with its interpreter and libraries put back, the packages of the source tree, and
# the Django project itself, which can be imported and run from here.
{
  lib,
  stdenv,
  autoPatchelfHook,
  krb5,
  libffi,
  libpq,
  libtool,
  libxml2,
  libxslt,
  openssl,
  patchelf,
  pins,
  pinsFile,
  python,
  python-deps,
  runCommand,
  runtimeShell,
  sources,
  xmlsec,
  zlib,
}:

let
  gitPackages = builtins.attrNames sources.git-packages;
in
stdenv.mkDerivation (finalAttrs: {
  pname = "authentik-django";
  inherit (sources) version;

  src = sources.python;

  nativeBuildInputs = [ autoPatchelfHook ];
  buildInputs = [
    krb5
    libffi
    libpq
    libtool
    libxml2
    libxslt
    openssl
    python
    stdenv.cc.cc.lib
    xmlsec
    zlib
  ];

  # Upstream finds its files from where the container starts; here they have places of their own.
  postPatch = ''
    substituteInPlace authentik/root/settings.py \
      --replace-fail 'BASE_DIR = Path(__file__).absolute().parent.parent.parent' "BASE_DIR = Path(\"$out\")"
    substituteInPlace authentik/lib/default.yml \
      --replace-fail 'blueprints_dir: /blueprints' "blueprints_dir: $out/blueprints"
    substituteInPlace authentik/stages/email/utils.py \
      --replace-fail 'Path("web/icons/icon_left_brand.png")' "Path(\"$out/web/icons/icon_left_brand.png\")" \
      --replace-fail 'Path("web/dist/assets/icons/icon_left_brand.png")' "Path(\"$out/web/icons/icon_left_brand.png\")"
    # Links to the built-in blueprints may lie among others: what is there is read from here.
    substituteInPlace authentik/blueprints/models.py \
      --replace-fail 'str(full_path).startswith(str(base.resolve()))' \
      "str(full_path).startswith((str(base.resolve()), \"$out/blueprints/\"))"
    # /dev/stderr can't be opened again where it is a pipe or file of another user, or not there
    substituteInPlace lifecycle/ak \
      --replace-fail '#!/usr/bin/env -S bash' '#!${runtimeShell}' \
      --replace-fail '>/dev/stderr' '>&2'
    # https://github.com/goauthentik/authentik/issues/19616: the migration reads what another one makes
    substituteInPlace authentik/rbac/migrations/0010_remove_role_group_alter_role_name.py \
      --replace-fail '("authentik_rbac", "0009_remove_initialpermissions_mode"),' \
      '("authentik_rbac", "0009_remove_initialpermissions_mode"), ("authentik_core", "0056_user_roles"),'
  '';

  dontConfigure = true;
  dontBuild = true;
  # wheels are shipped as they were published; lists are texts in the phase below
  dontStrip = true;
  __structuredAttrs = false;
  # attributes, not parts of the text below: to list the components is not to want an interpreter
  deps = python-deps;
  interpreter = python;
  # the packages in git, at the revisions of the lock file: python-deps holds them to it
  modules = map (name: "${sources.${name}}/${pins.sources.${name}.module}") gitPackages;
  namedModules = map (name: "${name}=${pins.sources.${name}.module}") gitPackages;
  lock = sources.python-lock;
  revisions = map (name: "${name}=${sources.git-packages.${name}}") gitPackages;
  checkGitPackages = ./git-packages.py;
  checkPackages = ./locked-packages.py;
  scripts = ./console-scripts.py;
  # without one of these nothing starts
  wanted = [
    "dumb-init"
    "gunicorn"
  ];
  installPhase = ''
    runHook preInstall
    cp -r $deps $out
    chmod -R u+w $out
    site=$(echo $out/lib/python*/site-packages)
    mkdir -p $out/bin
    for program in $interpreter/bin/python3*; do
      ln -s $program $out/bin/
    done
    ln -sf python3 $out/bin/python
    sed -i "s|@python@|$interpreter|g" $out/pyvenv.cfg
    if [ -d $out/libexec ]; then
      cp $out/libexec/* $out/bin/
      rm -r $out/libexec
    fi

    # the packages of the tree
    for package in packages/*/; do
      if [ -e $package/pyproject.toml ]; then
        find $package -mindepth 1 -maxdepth 1 -type d -exec cp -r '{}' $site/ ';'
      fi
    done
    for module in $modules; do
      cp -r --no-preserve=mode $module $site/
    done

    cp -r authentik lifecycle blueprints locale manage.py $out/
    mkdir -p $out/web
    cp -r web/icons $out/web/
    sed -i "1s|.*|#!$out/bin/python3|" $out/manage.py
    # the project is imported from beside its files
    echo $out >$site/authentik.pth
    $out/bin/python3 $scripts $out $wanted
    if [ -e $lock/uv.lock ]; then
      # once more: where the packages were built before, python-deps was not asked
      $out/bin/python3 $checkGitPackages $lock/uv.lock ${baseNameOf (toString pinsFile)} $revisions
    fi
    $out/bin/python3 $checkPackages $lock $namedModules
    runHook postInstall
  '';

  # Byte code for all of it: who runs it can't write beside the sources, and would compile at each
  # start. Nothing in the store changes, so the sources are never looked at (unchecked-hash). Two builds make
  # the same: what Python wrote by the way, with the time of the sources in it, goes, and the seed is fixed.
  # The project has to compile; packages may bring templates or Python 2 that nothing imports: compileall
  # names such files, and they have no byte code.
  postFixup = ''
    find $out -name __pycache__ -prune -exec rm -r '{}' +
    compile() {
      PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 \
        $out/bin/python3 -m compileall -q -j 2 --invalidation-mode unchecked-hash "$@"
    }
    compile $out/authentik $out/lifecycle
    compile $site || echo "not all files of $site have byte code"
  '';

  # What the tree holds can be imported, and what the lock file has of the modules with machine code.
  passthru.tests.imports =
    runCommand "authentik-django-imports-${finalAttrs.version}"
      {
        django = finalAttrs.finalPackage;
        lock = sources.python-lock;
        # of the tree itself, and what has no place that uv asks
        modules = [
          "authentik"
          "django"
          "guardian"
          "lifecycle"
          "lxml.etree"
        ]
        ++ map (name: pins.sources.${name}.module) gitPackages;
        ifLocked = [
          "gssapi"
          "psycopg"
          "xmlsec"
        ];
      }
      ''
        export HOME=$TMPDIR
        for module in $ifLocked; do
          if grep -qs "^name = \"$module\"$" $lock/uv.lock; then
            modules+=" $module"
          fi
        done
        for module in $modules; do
          $django/bin/python3 -c "import $module; print('$module from', $module.__file__)"
        done
        touch $out
      '';

  # Each library finds what it loads, all of it in the store, and no run path was left without its hash.
  passthru.tests.libraries =
    runCommand "authentik-django-libraries-${finalAttrs.version}"
      {
        django = finalAttrs.finalPackage;
        nativeBuildInputs = [ patchelf ];
      }
      ''
        count=0
        loader=$(patchelf --print-interpreter $django/bin/python3)
        while IFS= read -r -d "" library; do
          isELF $library || continue
          count=$((count + 1))
          if ! $loader --list $library >loads.txt 2>&1 || grep -E 'not found|=> /' loads.txt | grep -v "=> $NIX_STORE/"; then
            cat loads.txt
            echo "$library does not find in the store what it loads" >&2
            exit 1
          fi
          if patchelf --print-rpath $library | grep eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee; then
            echo "a run path of $library has no hash" >&2
            exit 1
          fi
        done < <(find $django/ -type f -name '*.so*' -print0)
        echo "$count libraries find all that they load"
        [ $count -gt 0 ]
        touch $out
      '';

  # The migrations form a graph, and the one of issue 19616 comes after what it needs.
  passthru.tests.migrations =
    runCommand "authentik-django-migrations-${finalAttrs.version}"
      {
        django = finalAttrs.finalPackage;
        program = ./tests/authentik-django/migrations.py;
      }
      ''
        # settings that upstream has no default for
        export HOME=$TMPDIR AUTHENTIK_SECRET_KEY=test
        $django/bin/python3 $program
        touch $out
      '';

  meta = {
    description = "Backend of the identity provider authentik";
    homepage = "https://goauthentik.io/";
    license = lib.licenses.mit;
    mainProgram = "gunicorn";
  };
})
