"""signs_in.py PLAN --assembled PATH [--leave-out FILE] [--image ARCHIVE [--memory LIMIT]] [--data DIR]: starts
the service and proves that it does what people want of it.

What is done is the list STEPS below: each step has a name, by which FILE (JSON: a name and the reason) leaves
it out; what was left out is said. All is asked by HTTP, as a browser or a program would, but for what says
which libraries the processes loaded.

It fails at the first step that does not hold: the last lines are the step, what was waited for and what the
logs have to say of it. Exit codes: 0 all steps hold, 1 one does not, 2 could not run.
"""

import argparse
import base64
import contextlib
import errno
import hashlib
import html
import http.client
import http.cookiejar
import json
import os
import pathlib
import re
import secrets
import signal
import struct
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

# what starts the service lies beside its plan
sys.path.insert(0, str(pathlib.Path(sys.argv[1]).resolve().parent))
import supervise

STEPS = []
FLOW = "default-authentication-flow"

# What may be in a log as an error, by a word of the line and the exception that it names, with the reason; a
# file below `authentik/` with which it must not be there.
ALLOWED = [
    {
        "word": "webauthn_mds_import",
        "exception": "FileNotFoundError",
        "without": "stages/authenticator_webauthn/mds/blob.jwt",
        "reason": "a public copy of the source lacks this file of the FIDO alliance",
    },
    {
        "word": "Failed to fetch outpost configuration",
        "exception": "403 Forbidden",
        "without": None,
        "reason": "the server asks for its own outpost before the worker made it, and asks again",
    },
]

# Libraries of which a process may hold one only, and of which kind it must be: two of a kind have the same
# functions on different data.
SINGLE = ["libcrypto", "libgssapi_krb5", "libkrb5", "libpq", "libssl", "libxml2", "libxmlsec1", "libxslt"]


class Failed(Exception):
    """A step does not hold."""


def step(function):
    """Puts a step into the list, by the function's name."""
    STEPS.append((function.__name__.replace("_", "-"), function))
    return function


def hold(truth, words):
    """Fails with these words unless it is true."""
    if not truth:
        raise Failed(words)


# ---- asking


class Answer:
    """A status, headers, the address after redirects, and a body."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.url = response.url
        self.body = response.read()

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise Failed(f"{self.url} answers {self.status} with what is no JSON: {self.body[:300]!r}") from None


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Stops where the server sends one elsewhere than to itself."""

    def redirect_request(self, request, *arguments):
        address = urllib.parse.urljoin(request.full_url, arguments[-1])
        if urllib.parse.urlsplit(address).netloc != urllib.parse.urlsplit(request.full_url).netloc:
            return None
        return super().redirect_request(request, *arguments)


class Browser:
    """Somebody who asks, with cookies of their own, or a token."""

    def __init__(self, address, token=None):
        self.address = address
        self.token = token
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.jar), NoRedirect()
        )

    def ask(self, path, method="GET", data=None, wanted=(200,), headers=None):
        address = urllib.parse.urljoin(self.address, path)
        request = urllib.request.Request(address, method=method)
        request.add_header("Accept", "application/json, text/html;q=0.9, */*;q=0.5")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        for cookie in self.jar:
            if cookie.name == "authentik_csrf":
                request.add_header("X-authentik-CSRF", cookie.value)
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        if data is not None:
            if not isinstance(data, bytes):
                data = json.dumps(data).encode()
                request.add_header("Content-Type", "application/json")
            request.data = data
        try:
            with self.opener.open(request, timeout=60) as response:
                answer = Answer(response)
        except urllib.error.HTTPError as error:
            with error:
                answer = Answer(error)
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"{method} {address}: {error}") from None
        hold(
            answer.status in wanted,
            f"{method} {address} answers {answer.status} and not {wanted[0]}: {short(answer.body) or dict(answer.headers)}",
        )
        return answer

    def all(self, path, **query):
        """All results of a list."""
        found, page = [], 1
        while page:
            text = urllib.parse.urlencode(query | {"page": page, "page_size": 100})
            answer = self.ask(f"{path}?{text}").json()
            found += answer["results"]
            page = answer["pagination"]["next"]
        return found

    def challenge(self, flow, answer=None, query=""):
        """What the flow executor asks next, after an answer to what it asked last."""
        path = f"/api/v3/flows/executor/{flow}/?query={urllib.parse.quote(query, safe='')}"
        if answer is None:
            return self.ask(path).json()
        return self.ask(path, "POST", answer).json()


def short(body):
    """The beginning of a body, a page of HTML without its tags."""
    text = body.decode(errors="replace")
    if "<html" in text[:200].lower():
        text = " ".join(html.unescape(re.sub(r"(?s)<(script|style).*?</\1>|<[^>]*>", " ", text)).split())
    return text[:500]


def component(challenge):
    return challenge.get("component", str(challenge))


# ---- the test


class Test:
    """What the steps know of each other."""

    def __init__(self, service, assembled):
        self.service = service
        self.assembled = pathlib.Path(assembled)
        self.errors = []
        # the first line of a traceback whose end has not come yet, by part
        self.tracebacks = {}
        self.allowed = []
        self.warnings = []
        self.lines = {}
        # in the names of what is made: the data may be those of an earlier run
        self.word = secrets.token_hex(4)
        supervise.LISTENERS.append(self.hear)
        service.doubts.append(self.in_vain)

    @property
    def address(self):
        return self.service.address

    @property
    def api(self):
        return Browser(self.address, self.service.secrets["token"])

    def hear(self, part, line):
        """Sorts out what a part says."""
        self.lines.setdefault(part, []).append(line)
        if part not in self.service.plan["parts"]:
            return
        try:
            said = json.loads(line)
        except ValueError:
            self.hear_text(part, line)
            return
        if not isinstance(said, dict):
            return
        status = said.get("status")
        if isinstance(status, int) and status >= 500 and not self.starting(said):
            self.errors.append(f"{part}: {line}")
        if said.get("level") in ("error", "critical", "fatal", "panic"):
            for entry in ALLOWED:
                if entry["word"] in line and entry["exception"] in line:
                    self.allowed.append((entry, line))
                    return
            self.errors.append(f"{part}: {line}")
        elif said.get("level") == "warning":
            self.warnings.append(line)

    def hear_text(self, part, line):
        """A line that is no entry of a log: a traceback is told by the exception at its end."""
        begun = self.tracebacks.pop(part, "")
        if "Traceback" in line or begun and (not line or line[0].isspace()):
            self.tracebacks[part] = begun or line
        elif begun and line.startswith("SystemExit"):
            # a process of the worker that was told to end while it did something
            pass
        elif begun or "Error:" in line:
            self.errors.append(f"{part}: {begun} {line}")

    def in_vain(self):
        """Fails where waiting is no use: what can't be loaded now can't be later, and is an error at the end."""
        for line in self.errors:
            if re.search("ModuleNotFoundError|ImportError|cannot open shared object file", line):
                raise Failed(f"something can't be loaded: {line[:1000]}")

    def starting(self, said):
        """Whether it is the answer that says that the backend is not up yet."""
        path = str(said.get("request") or said.get("path") or said.get("event") or "")
        return "/-/health/" in path

    def until(self, seconds, what, check):
        """Waits for a result that is one, as long as all runs."""
        end = time.monotonic() + seconds
        while True:
            result = check()
            if result:
                return result
            self.service.look()
            hold(time.monotonic() < end, f"waited {seconds} s for {what}")
            time.sleep(0.3)

    def sign_in(self, browser, password):
        """Goes through the login flow: what is asked after the password."""
        user = self.service.plan["login"]["user"]
        first = browser.challenge(FLOW)
        hold(
            component(first) == "ak-stage-identification",
            f"the flow begins with {component(first)}, not ak-stage-identification: {first}",
        )
        second = browser.challenge(FLOW, {"component": "ak-stage-identification", "uid_field": user})
        hold(
            component(second) == "ak-stage-password",
            f"after the user's name comes {component(second)}, not ak-stage-password: {second}",
        )
        return browser.challenge(FLOW, {"component": "ak-stage-password", "password": password})

    def signed_in(self):
        """A browser in which the user signed in."""
        browser = Browser(self.address)
        last = self.sign_in(browser, self.service.secrets["password"])
        hold(
            component(last) == "xak-flow-redirect",
            f"after the right password comes {component(last)}, not xak-flow-redirect: {last}",
        )
        return browser

    def who(self, browser, wanted=(200,)):
        answer = browser.ask("/api/v3/core/users/me/", wanted=wanted)
        return answer.json()["user"]["username"] if answer.status == 200 else None

    def flow(self, slug):
        found = self.api.all("/api/v3/flows/instances/", slug=slug)
        hold(len(found) == 1, f"there is no flow {slug}")
        return found[0]["pk"]

    def processes(self):
        """The processes of the service with the command line of each: those that know its secret, and their
        children, who may have written over what they know; a container engine's own are none."""
        wanted = b"AUTHENTIK_SECRET_KEY=" + self.service.secrets["secret_key"].encode()
        parents, found = {}, set()
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdecimal() and entry.name != str(os.getpid()):
                with contextlib.suppress(OSError):
                    parents[entry.name] = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
                    if wanted in (entry / "environ").read_bytes():
                        found.add(entry.name)
        grown = 0
        while grown != len(found):
            grown = len(found)
            found |= {child for child, parent in parents.items() if parent in found}
        for name in sorted(found, key=int):
            process = pathlib.Path("/proc", name)
            with contextlib.suppress(OSError):
                if not os.readlink(process / "exe").startswith("/nix/store/"):
                    continue
                command = (process / "cmdline").read_bytes().split(b"\0")
                yield process, b" ".join(command).decode(errors="replace")


# ---- the steps


@step
def database(test):
    """PostgreSQL starts, on a socket and on loopback, by which the parts reach it."""
    test.service.prepare()
    test.service.start_database()
    return test.service.sql("postgres", "SHOW server_version").strip()


@step
def migrations(test):
    """`ak migrate` makes the tables."""
    test.service.migrate()
    count = test.service.sql(test.service.plan["database"], "SELECT count(*) FROM django_migrations")
    return f"{count.strip()} migrations"


@step
def ready(test):
    """Server and worker start, the server says that it is ready, and the worker makes the first user."""
    start = time.monotonic()
    test.service.start_parts()
    test.service.wait_ready()
    return f"after {time.monotonic() - start:.1f} s"


@step
def version(test):
    """The server is of the version that was built."""
    says = test.api.ask("/api/v3/admin/version/").json()["version_current"]
    wanted = test.service.plan["version"]
    hold(says == wanted, f"the server says that it is {says}; {wanted} was built")
    return says


@step
def login_page(test):
    """The login page comes with all that it names, of the web UI of this version."""
    browser = Browser(test.address)
    page = browser.ask(f"/if/flow/{FLOW}/", headers={"Accept": "text/html"})
    text = page.body.decode()
    named = set(re.findall(r'(?:src|href)="([^"]*/static/[^"]*)"', text))
    hold(any("FlowInterface" in name for name in named), f"the login page names no FlowInterface: {named}")
    for name in sorted(named):
        answer = browser.ask(name, wanted=(200, 404))
        there = pathlib.Path(test.assembled, "web/dist/flow").glob("FlowInterface-*.js")
        there = sorted(file.name for file in there)
        hold(
            answer.status == 200 and answer.body,
            f"the login page wants {name}, which the web UI has not got; it has {there}: is it of another version?",
        )
    return f"{len(named)} files"


@step
def wrong_password(test):
    """A wrong password does not sign in."""
    browser = Browser(test.address)
    last = test.sign_in(browser, "wrong")
    hold(
        component(last) == "ak-stage-password" and "password" in last.get("response_errors", {}),
        f"after a wrong password comes {component(last)}: {last}",
    )
    hold(test.who(browser, (403, 401, 200)) is None, "a wrong password signed in")


@step
def right_password(test):
    """The right one does, and the API says who it is."""
    browser = test.signed_in()
    user = test.who(browser)
    hold(user == test.service.plan["login"]["user"], f"the API takes the user for {user}")
    test.browser = browser
    return user


def built_in(test):
    """The paths of the blueprints that are to be applied by themselves."""
    folder = test.assembled / "blueprints"
    for file in sorted(folder.rglob("*.yaml")):
        if 'instantiate: "false"' not in file.read_text():
            yield str(file.relative_to(folder))


@step
def blueprints(test):
    """All that are built in are applied, and none is in error."""
    wanted = set(built_in(test))
    hold(wanted, "there are no blueprints")

    def applied():
        found = test.api.all("/api/v3/managed/blueprints/")
        bad = [f"{it['path']} ({it['status']})" for it in found if it["status"] in ("error", "warning")]
        hold(not bad, f"blueprints that do not apply: {', '.join(bad)}")
        good = {it["path"] for it in found if it["status"] == "successful"}
        test.missing = sorted(wanted - good)
        return not test.missing

    try:
        test.until(300, "all blueprints to be applied", applied)
    except Failed as failed:
        missing = ", ".join(getattr(test, "missing", []))
        raise Failed(f"{failed}; not applied: {missing}" if missing else failed) from None
    return f"{len(wanted)} of {len(wanted)} successful"


@step
def worker_tasks(test):
    """The worker ran tasks, and none failed."""

    def settled():
        found = test.api.all("/api/v3/tasks/tasks/")
        return found if any(it["state"] == "done" for it in found) else None

    found = test.until(120, "a task of the worker to be done", settled)
    bad = []
    for task in found:
        if task["aggregated_status"] != "error":
            continue
        text = json.dumps(task)
        entry = next((it for it in ALLOWED if it["word"] in text and it["exception"] in text), None)
        if entry:
            test.allowed.append((entry, text))
        else:
            bad.append(f"{task['actor_name']}: {text[:1500]}")
    hold(not bad, "tasks that failed:\n" + "\n".join(bad))
    return f"{sum(task['state'] == 'done' for task in found)} done"


@step
def database_driver(test):
    """psycopg is the one that was compiled here."""
    loaded = {}
    for process, command in test.processes():
        with contextlib.suppress(OSError):
            maps = (process / "maps").read_text()
            if "psycopg" in maps:
                for name in re.findall(r"\S*/psycopg\w*/\S*\.so\S*", maps):
                    loaded[name] = command
    hold(
        any("/psycopg_c/" in name for name in loaded),
        f"no process loaded psycopg's C implementation, but {sorted(loaded) or 'none of it'}",
    )
    hold(not any("/psycopg_binary/" in name for name in loaded), f"psycopg's own libpq is loaded: {loaded}")


@step
def libraries(test):
    """No process holds two libraries of a kind, and all come from the store."""
    count = 0
    for process, command in test.processes():
        try:
            maps = (process / "maps").read_text()
        except OSError:
            continue
        files = {line.split(None, 5)[5] for line in maps.splitlines() if line.count(" ") > 4 and ".so" in line}
        count += bool(files)
        for name in SINGLE:
            of_it = sorted(it for it in files if re.match(rf"{re.escape(name)}(-[0-9a-f]+)?\.so", it.rpartition("/")[2]))
            hold(len(of_it) < 2, f"two {name} in one process ({command[:80]}): {' and '.join(of_it)}")
            hold(
                all(it.startswith("/nix/store/") for it in of_it),
                f"{name} in the process {command[:80]} is {of_it}, which is not in the store",
            )
    hold(count, "no process of the service could be looked at")
    return f"{count} processes"


@step
def certificate(test):
    """A certificate is generated."""
    made = test.api.ask(
        "/api/v3/crypto/certificatekeypairs/generate/",
        "POST",
        {"common_name": f"signs-in {test.word}", "validity_days": 30},
    ).json()
    test.certificate = made["pk"]
    path = f"/api/v3/crypto/certificatekeypairs/{made['pk']}/view_certificate/"
    test.pem = test.api.ask(path).json()["data"]
    hold("BEGIN CERTIFICATE" in test.pem, f"the certificate is none: {test.pem[:200]}")


@step
def oauth2(test):
    """An application signs its users in by OpenID Connect: code, token, signature, claims."""
    import jwt

    api, callback = test.api, "http://localhost:1/callback"
    scopes = [
        it["pk"]
        for it in api.all("/api/v3/propertymappings/provider/scope/")
        if it["scope_name"] in ("openid", "email", "profile")
    ]
    hold(len(scopes) >= 3, "the scopes openid, email and profile are missing")
    provider = api.ask(
        "/api/v3/providers/oauth2/",
        "POST",
        {
            "name": f"signs-in oauth2 {test.word}",
            "authorization_flow": test.flow("default-provider-authorization-implicit-consent"),
            "invalidation_flow": test.flow("default-provider-invalidation-flow"),
            "client_type": "confidential",
            "redirect_uris": [{"matching_mode": "strict", "url": callback}],
            "signing_key": test.certificate,
            "property_mappings": scopes,
        },
        wanted=(201,),
    ).json()
    slug = f"signs-in-oauth2-{test.word}"
    application = {"name": slug, "slug": slug, "provider": provider["pk"]}
    api.ask("/api/v3/core/applications/", "POST", application, wanted=(201,))
    places = Browser(test.address).ask(f"/application/o/{slug}/.well-known/openid-configuration").json()
    hold(places["issuer"].startswith(test.address), f"the issuer is {places['issuer']}")

    verifier, state, nonce = (secrets.token_urlsafe(48) for _ in range(3))
    asked = {
        "response_type": "code",
        "client_id": provider["client_id"],
        "redirect_uri": callback,
        "scope": "openid email profile",
        "state": state,
        "nonce": nonce,
        "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    browser = test.signed_in()
    address = f"{places['authorization_endpoint']}?{urllib.parse.urlencode(asked)}"
    last = follow_flow(browser, browser.ask(address, wanted=(200, 302)), callback)
    answer = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(last).query))
    hold(answer.get("state") == state and "code" in answer, f"the application is answered {answer}")
    form = urllib.parse.urlencode(
        {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": callback,
            "client_id": provider["client_id"],
            "client_secret": provider["client_secret"],
            "code_verifier": verifier,
        }
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    token = Browser(test.address).ask(places["token_endpoint"], "POST", form.encode(), headers=headers).json()
    keys = Browser(test.address).ask(places["jwks_uri"]).json()["keys"]
    kid = jwt.get_unverified_header(token["id_token"])["kid"]
    key = next((it for it in keys if it["kid"] == kid), None)
    hold(key, f"the JWKS has no key {kid}: {keys}")
    try:
        claims = jwt.decode(
            token["id_token"],
            jwt.PyJWK(key).key,
            algorithms=["RS256"],
            audience=provider["client_id"],
            issuer=places["issuer"],
        )
    except jwt.PyJWTError as error:
        raise Failed(f"the ID token does not hold: {error}") from None
    user = test.service.plan["login"]["user"]
    hold(claims["nonce"] == nonce, f"the nonce of the ID token is another: {claims}")
    hold(claims.get("preferred_username") == user, f"the ID token is of {claims.get('preferred_username')}: {claims}")
    info = Browser(test.address, token["access_token"]).ask(places["userinfo_endpoint"]).json()
    hold(info["sub"] == claims["sub"], f"userinfo is of another: {info}")
    return f"an ID token of {user}"


def follow_flow(browser, answer, callback):
    """Goes through the flow to which an answer leads: the address of the application at its end."""
    place = urllib.parse.urlsplit(answer.url)
    location = answer.headers.get("Location", "")
    if location.startswith(callback):
        return location
    slug = re.fullmatch(r"/if/flow/([^/]+)/", place.path)
    hold(slug, f"the authorization leads to {answer.url}: {short(answer.body)}")
    last = browser.challenge(slug[1], query=place.query)
    hold(component(last) == "xak-flow-redirect", f"the flow {slug[1]} asks for {component(last)}: {last}")
    if not last["to"].startswith(callback):
        answer = browser.ask(last["to"], wanted=(200, 302))
        return answer.headers.get("Location") or answer.url
    return last["to"]


@step
def saml(test):
    """A SAML provider signs its metadata and its response, and both verify."""
    import xmlsec
    from lxml import etree

    # the versions that xmlsec and lxml were compiled for and run with are compared when it is imported
    names = {"ds": "http://www.w3.org/2000/09/xmldsig#"}

    def verify(document, what):
        signatures = document.xpath("//ds:Signature", namespaces=names)
        hold(signatures, f"{what} has no signature")
        key = xmlsec.Key.from_memory(test.pem, xmlsec.constants.KeyDataFormatCertPem)
        for signature in signatures:
            context = xmlsec.SignatureContext()
            context.key = key
            xmlsec.tree.add_ids(document, ["ID"])
            try:
                context.verify(signature)
            except xmlsec.Error as error:
                raise Failed(f"a signature of {what} does not hold: {error}") from None
        return len(signatures)

    api = test.api
    provider = api.ask(
        "/api/v3/providers/saml/",
        "POST",
        {
            "name": f"signs-in saml {test.word}",
            "authorization_flow": test.flow("default-provider-authorization-implicit-consent"),
            "invalidation_flow": test.flow("default-provider-invalidation-flow"),
            "acs_url": "http://localhost:1/acs",
            "audience": "signs-in",
            "issuer": "authentik-signs-in",
            "signing_kp": test.certificate,
            "sign_assertion": True,
            "sign_response": True,
            "sp_binding": "post",
            "property_mappings": [it["pk"] for it in api.all("/api/v3/propertymappings/provider/saml/")],
        },
        wanted=(201,),
    ).json()
    slug = f"signs-in-saml-{test.word}"
    application = {"name": slug, "slug": slug, "provider": provider["pk"]}
    api.ask("/api/v3/core/applications/", "POST", application, wanted=(201,))
    metadata = api.ask(f"/api/v3/providers/saml/{provider['pk']}/metadata/").json()["metadata"]
    verify(etree.fromstring(metadata.encode()), "the metadata")

    browser = test.signed_in()
    answer = browser.ask(f"/application/saml/{slug}/sso/binding/init/")
    place = urllib.parse.urlsplit(answer.url)
    flow = re.fullmatch(r"/if/flow/([^/]+)/", place.path)
    hold(flow, f"the sign-on leads to {answer.url}: {short(answer.body)}")
    last = browser.challenge(flow[1], query=place.query)
    hold(component(last) == "ak-stage-autosubmit", f"the flow {flow[1]} asks for {component(last)}: {last}")
    response = etree.fromstring(base64.b64decode(last["attrs"]["SAMLResponse"]))
    count = verify(response, "the response")
    user = test.service.plan["login"]["user"]
    text = etree.tostring(response).decode()
    hold(user in text, f"the response does not name {user}: {text[:500]}")
    return f"{count} signatures of the response"


def keytab(principal, realm):
    """A keytab with a key of this principal."""

    def counted(text):
        return struct.pack(">H", len(text)) + text.encode()

    names = principal.split("/")
    entry = struct.pack(">H", len(names)) + counted(realm) + b"".join(map(counted, names))
    entry += struct.pack(">IIB", 1, 0, 1) + struct.pack(">HH", 18, 32) + bytes(range(32))
    return b"\x05\x02" + struct.pack(">i", len(entry)) + entry


@step
def kerberos(test):
    """A Kerberos source calls gssapi: for a browser that negotiates, and to check a password."""
    api, realm, slug = test.api, f"{test.word.upper()}.INVALID", f"signs-in-kerberos-{test.word}"
    source = api.ask(
        "/api/v3/sources/kerberos/",
        "POST",
        {
            "name": slug,
            "slug": slug,
            "realm": realm,
            "krb5_conf": f"[libdefaults]\ndefault_realm = {realm}\ndns_lookup_kdc = false\n"
            f"[realms]\n{realm} = {{\n kdc = 127.0.0.1:1\n}}\n",
            "spnego_server_name": f"HTTP/localhost@{realm}",
            "spnego_keytab": base64.b64encode(keytab("HTTP/localhost", realm)).decode(),
        },
        wanted=(201,),
    ).json()
    token = base64.b64encode(b"no ticket").decode()
    answer = Browser(test.address).ask(
        f"/source/kerberos/{slug}/?state=signs-in",
        headers={"Authorization": f"Negotiate {token}"},
        wanted=(401,),
    )
    hold("Negotiate" in answer.headers.get("WWW-Authenticate", ""), f"it does not negotiate: {answer.headers}")
    user = api.ask("/api/v3/core/users/me/").json()["user"]
    connection = {"user": user["pk"], "source": source["pk"], "identifier": f"{user['username']}@{realm}"}
    api.ask("/api/v3/sources/user_connections/kerberos/", "POST", connection, wanted=(201,))
    before = len(test.warnings)
    last = test.sign_in(Browser(test.address), "neither here nor there")
    hold(component(last) == "ak-stage-password", f"a wrong password leads to {component(last)}: {last}")

    def failed():
        return any("failed to kinit" in line for line in test.warnings[before:])

    test.until(10, "gssapi to try the password (`failed to kinit` in the log)", failed)

    # A source takes its tasks along, and upstream fails where the worker is at one: at the commit, for which its page
    # of errors answers 405, or in the worker.
    def idle():
        tasks = [it for it in api.all("/api/v3/tasks/tasks/") if ".kerberos." in it["actor_name"]]
        return all(it["state"] in ("done", "rejected") for it in tasks)

    test.until(60, "the tasks of the Kerberos source to be done", idle)
    api.ask(f"/api/v3/sources/kerberos/{slug}/", "DELETE", wanted=(204,))
    loaded = set()
    for process, _ in test.processes():
        with contextlib.suppress(OSError):
            loaded |= set(re.findall(r"\S*/libgssapi_krb5\.so\S*", (process / "maps").read_text()))
    hold(loaded, "no process loaded libgssapi_krb5")


@step
def confined(test):
    """In a container nothing has rights, and nothing can be written but what is to be."""
    if not test.service.image:
        return "no container"
    # without root the engine's user stands for the one inside
    user = supervise.NOBODY if os.geteuid() == 0 else os.geteuid()
    count = 0
    for process, command in test.processes():
        try:
            status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
        except OSError:
            continue
        hold(status["Uid"].split() == [str(user)] * 4, f"{command[:80]} runs as {status['Uid']}, not {user}")
        for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]:
            hold(int(status[name], 16) == 0, f"{command[:80]} has capabilities: {name} {status[name]}")
        hold(status["NoNewPrivs"].strip() == "1", f"{command[:80]} may gain rights by what it starts")
        for folder in ["", "blueprints", "blueprints/custom", "etc", "nix/store"]:
            # as whoever runs this test, who may be root
            place = process / "root" / folder / "signs-in"
            try:
                place.touch()
                place.unlink()
            except OSError as error:
                words = f"{command[:80]}: to write to /{folder} fails by {error.strerror}"
                hold(error.errno == errno.EROFS or os.geteuid() != 0, words)
            else:
                raise Failed(f"{command[:80]} can write to /{folder}")
        count += 1
    hold(count, "no process of the service could be looked at")
    return f"{count} processes"


def peak(process):
    """The most memory that the group of a process had, in bytes, if it is in a group of its own."""
    ours = pathlib.Path("/proc/self/cgroup").read_text().splitlines()
    for line in (process / "cgroup").read_text().splitlines():
        if line in ours:
            continue
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return int(pathlib.Path(f"/sys/fs/cgroup/memory{path}/memory.max_usage_in_bytes").read_text())
        if not controllers and pathlib.Path(f"/sys/fs/cgroup{path}/memory.peak").exists():
            return int(pathlib.Path(f"/sys/fs/cgroup{path}/memory.peak").read_text())
    return None


@step
def memory(test):
    """What server and worker take, to be known; in a container also the most that they took."""
    sums, peaks = {}, {}
    for process, command in test.processes():
        with contextlib.suppress(OSError):
            rollup = (process / "smaps_rollup").read_text()
            amount = int(re.search(r"Pss:\s+(\d+)", rollup)[1])
            # without a container each part has a process group of its own, whatever its processes call themselves
            group = int((process / "stat").read_text(errors="replace").rpartition(")")[2].split()[2])
            names = [name for name, part in test.service.parts.items() if part.process.pid == group]
            of_worker = "manage worker" in command or command.endswith("/ak worker")
            name = names[0] if names else "worker" if of_worker else "server"
            sums[name] = sums.get(name, 0) + amount
            if test.service.image and (most := peak(process)):
                peaks[name] = f", at most {most >> 20} MiB charged to it"
    return "; ".join(f"{name} {amount >> 10} MiB{peaks.get(name, '')}" for name, amount in sorted(sums.items()))


@step
def restart(test):
    """Server and worker end when they are told to and know everybody when they are started again."""
    names = list(test.service.plan["parts"])
    test.service.stop_parts(names)
    test.service.start_parts()
    test.service.wait_ready()
    user = test.who(test.browser)
    hold(user == test.service.plan["login"]["user"], f"the session is that of {user} after a restart")
    return test.who(test.signed_in())


def dump(test):
    """All of the database, as text."""
    text = test.service.sql(test.service.plan["database"], "", "pg_dump", ("--no-owner",))
    # lines with random words
    return [line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]


@step
def second_migration(test):
    """A second `ak migrate` changes nothing."""
    test.service.stop_parts(list(test.service.plan["parts"]))
    before = dump(test)
    test.service.migrate()
    after = dump(test)
    new = [line for line in after if line not in set(before)]
    gone = [line for line in before if line not in set(after)]
    hold(before == after, "a second `ak migrate` changes the database:\n" + "\n".join((new + gone)[:20]))
    return f"{len(before)} lines of a dump"


@step
def logs(test):
    """No log holds an error that is not known, and no answer was a 5xx."""
    for entry in ALLOWED:
        seen = any(it is entry for it, _ in test.allowed)
        there = entry["without"] and (test.assembled / "authentik" / entry["without"]).exists()
        if there:
            hold(not seen, f"{entry['word']} fails though the tree has {entry['without']}")
        elif seen:
            print(f"  allowed: {entry['word']}, {entry['exception']}: {entry['reason']}", flush=True)
    test.errors += [f"{part}: {line}" for part, line in test.tracebacks.items()]
    hold(not test.errors, "errors in the logs:\n" + "\n".join(line[:3000] for line in test.errors[:10]))
    return f"{sum(len(lines) for lines in test.lines.values())} lines"


# ---- running


def matter(test):
    """The lines of the logs that say most about a failure."""
    for part, lines in test.lines.items():
        words = re.compile(r'"level": ?"(error|critical|fatal)"|Traceback|Error|FATAL|rror while loading')
        found = [line for line in lines if words.search(line)][-8:] if part != "postgresql" else []
        for line in found or lines[-4:]:
            print(f"  {part}: {line[:3000]}", file=sys.stderr)


def raised(lines):
    """What the tracebacks in these lines of a log end with, and what programs say that can't be loaded."""
    inside = False
    for line in lines:
        text = line
        if line.startswith("{"):
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                text = str(said.get("exception") or said.get("exc") or "")
                inside = False
        for piece in text.splitlines():
            before, traceback, _ = piece.partition("Traceback (most recent call last)")
            if traceback:
                inside = True
                # on the line that says what is done, as `migrate` does
                if before.strip():
                    yield before.strip()
            elif "error while loading shared libraries" in piece:
                yield piece
            elif inside and piece.strip() and not piece.startswith((" ", "The above exc", "During handling of")):
                yield piece


def cause(test, failed):
    """What is behind a failure: lines of the logs, without those that say the same."""
    words = str(failed).split()
    for part, lines in test.lines.items():
        if part == "postgresql" and len(test.lines) > 1:
            continue
        found = list(raised(lines))
        # what the failure is about by its name, as the path of a blueprint
        named = [word for word in words if re.fullmatch(r"[\w-]+/[\w/.-]+\.\w+", word)]
        found += [line for line in lines if any(word in line for word in named)]
        if isinstance(failed, supervise.Ended) and str(failed).startswith(f"{part} "):
            found = found or lines[-5:]
        for line in list(dict.fromkeys(found))[-8:]:
            yield f"  {part}: {line[:500]}"


def report(test, name, failed):
    """Says what does not hold: logs first, and at the end the step, what was wrong, and what is behind it."""
    # what the parts said before may still be on its way
    time.sleep(1)
    matter(test)
    # of a part that ended its last lines are above
    said = str(failed).splitlines()[0] if isinstance(failed, supervise.Ended) else str(failed)
    doc = dict(STEPS)[name].__doc__ if name in dict(STEPS) else "The service can be started."
    lines = [f"{name} does not hold ({' '.join(doc.split())}): {said}", *cause(test, failed)]
    print("\n".join(lines), file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(prog="signs_in")
    parser.add_argument("plan", type=pathlib.Path)
    parser.add_argument("--assembled", required=True)
    parser.add_argument("--leave-out", type=pathlib.Path)
    parser.add_argument("--image")
    parser.add_argument("--memory", help="limit of server and worker in a container, each, in place of the plan's")
    parser.add_argument("--data", type=pathlib.Path)
    arguments = parser.parse_args()
    plan = json.loads(arguments.plan.read_text())
    if arguments.memory:
        plan["memory"] |= dict.fromkeys(plan["parts"], arguments.memory)
    left_out = json.loads(arguments.leave_out.read_text()) if arguments.leave_out else {}
    unknown = set(left_out) - {name for name, _ in STEPS}
    if unknown:
        print(f"{arguments.leave_out} names steps that do not exist: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    supervise.emit = lambda **event: None
    runtime = supervise.runtime_folder()
    data = arguments.data or pathlib.Path(tempfile.mkdtemp(prefix="signs-in.", dir=runtime))
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o711)
    service = supervise.Service(plan, data.absolute(), runtime, durable=False, loopback=True)

    def stop(number, frame):
        service.stopping += 1

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    test = Test(service, arguments.assembled)
    name, started, code = "start", time.monotonic(), 0
    try:
        if arguments.image:
            service.image = supervise.Engine(arguments.image, f"signs-in-{runtime.name.rpartition('.')[2]}")
        for name, function in STEPS:
            if name in left_out:
                print(f"{name}: left out: {left_out[name]}", flush=True)
                continue
            began = time.monotonic()
            said = function(test)
            print(f"{name}: {said or 'holds'} ({time.monotonic() - began:.1f} s)", flush=True)
        print(f"{plan['name']} {plan['version']} signs in ({time.monotonic() - started:.0f} s)")
    except (Failed, supervise.Ended, supervise.CouldNot) as failed:
        report(test, name, failed)
        code = 1
    except supervise.Stopped:
        print(f"{name}: interrupted", file=sys.stderr)
        code = 1
    finally:
        service.stop_parts()
        supervise.remove(runtime)
    return code


if __name__ == "__main__":
    sys.exit(main())
