# The builder of every derivation that doesn't bring its own.
source "$stdenv/setup"
genericBuild
