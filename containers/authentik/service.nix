# What was built, as something to start: a program that brings up PostgreSQL, the server and the worker, and
# ends all of it. `cargo xtask run` starts it, here or on another machine, and `assembled.tests.signs-in`.
{
  lib,
  assembled,
  postgresql,
  python,
  runCommand,
  runtimeShell,
}:

let
  inherit (assembled) version;

  # what supervise.py reads; in {} what a run knows, in @ what the builder does
  plan = {
    name = "authentik";
    inherit version;
    postgresql = "@postgresql@";
    program = "@assembled@/bin/ak";
    database = "authentik";
    migrate = [ "migrate" ];
    ready = "/-/health/ready/";
    login = {
      user = "akadmin";
      path = "/";
      # what the worker makes: the user with a token, and the flow
      who = "/api/v3/core/users/me/";
      flow = "/api/v3/flows/executor/default-authentication-flow/?query=";
    };
    environment = {
      AUTHENTIK_POSTGRESQL__HOST = "{database_host}";
      AUTHENTIK_POSTGRESQL__PORT = "{database_port}";
      AUTHENTIK_POSTGRESQL__NAME = "{database}";
      AUTHENTIK_POSTGRESQL__USER = "{database}";
      AUTHENTIK_POSTGRESQL__PASSWORD = "{secret_database}";
      AUTHENTIK_SECRET_KEY = "{secret_secret_key}";
      AUTHENTIK_STORAGE__FILE__PATH = "{storage}";
      # watched for certificates: it has to be there
      AUTHENTIK_CERT_DISCOVERY_DIR = "{certificates}";
      # nobody is told of a trial
      AUTHENTIK_DISABLE_STARTUP_ANALYTICS = "true";
      AUTHENTIK_DISABLE_UPDATE_CHECK = "true";
      AUTHENTIK_ERROR_REPORTING__ENABLED = "false";
    };
    parts = {
      server = {
        arguments = [ "server" ];
        environment = {
          AUTHENTIK_LISTEN__HTTP = "{address}";
          AUTHENTIK_LISTEN__HTTPS = "{free_address}";
          AUTHENTIK_LISTEN__METRICS = "{free_address}";
        };
      };
      worker = {
        arguments = [ "worker" ];
        environment = {
          AUTHENTIK_LISTEN__HTTP = "{free_address}";
          AUTHENTIK_LISTEN__METRICS = "{free_address}";
          # of two blueprints that apply a third one at the same time, one may fail by a deadlock, for an hour
          AUTHENTIK_WORKER__THREADS = "1";
          # who signs in first
          AUTHENTIK_BOOTSTRAP_EMAIL = "akadmin@example.invalid";
          AUTHENTIK_BOOTSTRAP_PASSWORD = "{secret_password}";
          AUTHENTIK_BOOTSTRAP_TOKEN = "{secret_token}";
        };
      };
    };
    # limits of the containers: containers/authentik/deploy has the same
    memory = {
      migrate = "768m";
      server = "768m";
      worker = "1024m";
    };
    shared_memory = "16m";
  };
in
runCommand "service-${version}"
  {
    pname = "service";
    inherit version;
    plan = builtins.toJSON plan;
    passAsFile = [ "plan" ];
    program = ./supervise.py;
    # attributes, not parts of the text: to list the components is not to want an interpreter
    inherit assembled postgresql;
    interpreter = python;
    meta = {
      description = "PostgreSQL, server and worker of authentik, started and ended as one";
      homepage = "https://goauthentik.io/";
      license = lib.licenses.mit;
      mainProgram = "service";
    };
  }
  ''
    mkdir -p $out/bin $out/share
    substitute $planPath $out/share/plan.json --subst-var assembled --subst-var postgresql
    cp $program $out/share/supervise.py
    cat >$out/bin/service <<EOF
    #!${runtimeShell}
    exec $interpreter/bin/python3 -I $out/share/supervise.py $out/share/plan.json "\$@"
    EOF
    chmod +x $out/bin/service
  ''
