# A program that a wheel brings, such as uv: one file of machine code that needs nothing else.
{
  fetchWheel,
  name,
  runCommand,
  unzip,
}:

let
  wheel = fetchWheel name;
in
runCommand "${name}-${wheel.version}"
  {
    inherit wheel;
    nativeBuildInputs = [ unzip ];
    passthru = { inherit (wheel) version; };
    meta.mainProgram = name;
  }
  ''
    unzip -q $wheel '*.data/scripts/*'
    install -D -m 755 -t $out/bin ./*.data/scripts/*
  ''
