# `rustPlatform`: buildRustPackage with nixpkgs' interface, over the Rust of whoever runs `cargo xtask`.
#
# Rust comes from no registry and seldom from the distribution, so it is not below /usr: `test-build`
# shows builders the toolchain that it runs with as /host/rust. By hand that is
# `--option extra-sandbox-paths /host/rust=$(rustc --print sysroot)`.
#
# The crates are a fixed output whose hash stands in pins.json under the package's name, fetched by the
# host's cargo with the host's settings. In nixpkgs `cargoLock.lockFile` needs no hash: there each crate
# is fetched from one address, by the hash in Cargo.lock, which cargo checks here as well.
{
  lib,
  stdenvNoCC,
  bash,
  binutils,
  cacert,
  gcc,
  pin,
  pins,
}:

let
  # Arguments with a meaning in nixpkgs which are not carried out here.
  refused = [
    "auditable"
    "buildAndTestSubdir"
    "buildFeatures"
    "buildNoDefaultFeatures"
    "buildType"
    "cargoDeps"
    "cargoHash"
    "cargoPatches"
    "cargoRoot"
    "cargoVendorDir"
    "checkType"
    "useFetchCargoVendor"
    "useNextest"
  ];

  rust = derivation {
    name = "host-rust";
    inherit (stdenvNoCC.hostPlatform) system;
    builder = "${bash}/bin/bash";
    args = [
      "-euc"
      ''
        for program in cargo rustc; do
          if [ ! -x /host/rust/bin/$program ]; then
            echo "host-pkgs: builders see no /host/rust/bin/$program: build with cargo xtask test-build, or show it by" >&2
            echo "  --option extra-sandbox-paths /host/rust=\$(rustc --print sysroot)" >&2
            exit 1
          fi
        done
        /host/usr/bin/mkdir -p $out/bin
        for program in cargo rustc; do
          /host/usr/bin/ln -s /host/rust/bin/$program $out/bin/$program
        done
        exit 0
      ''
    ];
  };

  # The crates of a lock file, as they were published. The name holds the lock's hash: with another
  # lock and the old hash Nix would take what it has.
  fetchCrates =
    { pname, src, lockFile }:
    stdenvNoCC.mkDerivation {
      name = "${pname}-crates-${builtins.substring 0 8 (builtins.hashFile "sha256" lockFile)}";
      inherit src;
      nativeBuildInputs = [
        cacert
        rust
      ];
      impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [ "FETCH_CARGO_CONFIG" ];
      outputHashMode = "recursive";
      outputHash =
        pins.cargo.${pname}.hash or (throw
          "${toString ./pins.json} has no `cargo.${pname}.hash`, the hash of the crates of ${pname}; put ${lib.fakeHash} there, and `cargo xtask test-build ${pname} --write-pins` finds the right one"
        );
      dontConfigure = true;
      buildPhase = ''
        runHook preBuild
        export HOME=$TMPDIR CARGO_HOME=$TMPDIR/cargo CARGO_HTTP_CAINFO=$SSL_CERT_FILE
        mkdir $CARGO_HOME
        if [ -n "''${CARGO_SETTINGS:-}" ]; then
          ln -s "$CARGO_SETTINGS" $CARGO_HOME/config.toml
        fi
        cargo fetch --locked
        runHook postBuild
      '';
      installPhase = ''
        runHook preInstall
        mkdir $out
        cp $CARGO_HOME/registry/cache/*/*.crate $out
        runHook postInstall
      '';
      dontFixup = true;
      passthru.pin = pin "cargo" pname;
    };

  make =
    args:
    let
      wrong = lib.filter (key: args ? ${key}) refused;
      lockFile =
        args.cargoLock.lockFile
          or (throw "${args.pname}: host-pkgs' buildRustPackage wants `cargoLock.lockFile`");
      cargoDeps = fetchCrates {
        inherit (args) pname src;
        inherit lockFile;
      };
    in
    if wrong != [ ] then
      throw "${args.pname}: host-pkgs does not carry out `${builtins.head wrong}` of buildRustPackage, which nixpkgs would"
    else
      stdenvNoCC.mkDerivation (
        removeAttrs args [ "cargoLock" ]
        // {
          inherit cargoDeps lockFile;
          strictDeps = true;
          nativeBuildInputs = args.nativeBuildInputs or [ ] ++ [
            # programs are stripped
            binutils
            gcc
            rust
          ];

          # Crates in folders are to cargo what its registry has, if each says by which hash it was locked.
          configurePhase =
            args.configurePhase or ''
              runHook preConfigure
              if ! cmp -s $lockFile Cargo.lock; then
                echo "the Cargo.lock of the source is not cargoLock.lockFile" >&2
                exit 1
              fi
              export CARGO_HOME=$TMPDIR/cargo CARGO_TARGET_DIR=$TMPDIR/target
              # Debian's cc is a link into /etc, which builders don't see
              export CC=gcc CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=gcc
              mkdir -p $CARGO_HOME/crates
              for crate in $cargoDeps/*.crate; do
                folder=$CARGO_HOME/crates/$(basename $crate .crate)
                mkdir $folder
                tar xf $crate -C $folder --strip-components=1
                printf '{"files":{},"package":"%s"}' "$(sha256sum <$crate | cut -d ' ' -f 1)" >$folder/.cargo-checksum.json
              done
              printf '%s\n' '[source.crates-io]' 'replace-with = "crates"' '[source.crates]' \
                "directory = \"$CARGO_HOME/crates\"" >$CARGO_HOME/config.toml
              runHook postConfigure
            '';

          buildPhase =
            args.buildPhase or ''
              runHook preBuild
              cargo build --frozen --release -j $NIX_BUILD_CORES $cargoBuildFlags
              runHook postBuild
            '';

          doCheck = args.doCheck or true;
          checkPhase =
            args.checkPhase or ''
              runHook preCheck
              cargo test --frozen --release -j $NIX_BUILD_CORES $cargoTestFlags
              runHook postCheck
            '';

          installPhase =
            args.installPhase or ''
              runHook preInstall
              find $CARGO_TARGET_DIR/release -maxdepth 1 -type f -executable -exec install -D -t $out/bin {} +
              if [ ! -d $out/bin ]; then
                echo "cargo built no program" >&2
                exit 1
              fi
              runHook postInstall
            '';

          meta = {
            platforms = [ "x86_64-linux" ];
          }
          // args.meta or { };
        }
      );
in
{
  inherit rust;
  buildRustPackage = make;
}
