#!/usr/bin/env node
// Loads a page of a built web UI in a real browser, or signs in to a server that runs, and fails on anything
// that can't be loaded and on any error in the browser's console.
//
//   tools/browser.mjs WEBUI [--page flow|sfe] [--stage NAME] [--screenshot FILE] [--expect TEXT]
//   tools/browser.mjs --sign-in URL --user NAME --password TEXT [--version VERSION] [--no-admin]
//                     [--screenshots FOLDER] [--expect TEXT]
//
// WEBUI          a built web UI, such as target/test-build/authentik/webui. The server around it is a stub: the
//                pages are what the server would make of its templates, the API answers with one challenge
// --page         flow: the login page (default); sfe: the one for old browsers
// --stage        the stage of the challenge (default ak-stage-identification)
// --screenshot   where the picture of the page goes
// --expect       a text that has to be seen on the page, or by who is signed in, shadow trees included; may be
//                given several times (default for who is signed in: "My applications")
//
// --sign-in      the address of a server that runs. A wrong password is tried first, which has to be refused
// --user, --password  whoever signs in
// --version      the version that has to be served, and that the admin interface has to show
// --no-admin     leave the admin interface out: the sample has none
// --screenshots  where login.png, refused.png, password.png, user.png and admin.png go
//
// Exit codes: 1 something is wrong, 2 could not run. Needs Node 22 or later, and Chromium (`chromium` on PATH,
// or CHROMIUM). As root it runs without Chromium's own sandbox, which root can't use: it loads nothing but what
// lies in WEBUI, or comes from the server at URL.
import { spawn } from "node:child_process";
import { createReadStream, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, extname, join, normalize } from "node:path";
import { parseArgs } from "node:util";

function refuse(reason) {
    console.error(reason);
    process.exit(2);
}
const usage = `usage: tools/browser.mjs WEBUI [--page flow|sfe] [--stage NAME] [--screenshot FILE] [--expect TEXT]
       tools/browser.mjs --sign-in URL --user NAME --password TEXT [--version VERSION] [--no-admin]
                         [--screenshots FOLDER] [--expect TEXT]`;
function parsed() {
    try {
        return parseArgs({
            allowPositionals: true,
            options: {
                page: { type: "string", default: "flow" },
                stage: { type: "string", default: "ak-stage-identification" },
                screenshot: { type: "string" },
                expect: { type: "string", multiple: true, default: [] },
                "sign-in": { type: "string" },
                user: { type: "string" },
                password: { type: "string" },
                version: { type: "string" },
                "no-admin": { type: "boolean" },
                screenshots: { type: "string" },
            },
        });
    } catch (error) {
        return refuse(`${error.message}\n${usage}`);
    }
}
const { values: options, positionals: [webui] } = parsed();
const signsIn = options["sign-in"] !== undefined;
if (signsIn ? webui || !URL.canParse(options["sign-in"]) || !options.user || !options.password : !webui) {
    refuse(usage);
}
if (typeof WebSocket === "undefined") {
    refuse(`this is Node ${process.version}, and 22 or later is wanted`);
}

// ---- The server, where what was built is looked at

async function serve(webui) {
    if (!existsSync(join(webui, "dist"))) {
        refuse(`${webui} has no dist: it is no built web UI`);
    }
    const version = readdirSync(join(webui, "dist"))
        .map((name) => name.match(/^poly-(.*)\.js$/)?.[1])
        .find(Boolean);
    if (!version) {
        refuse(`${webui}/dist has no poly-VERSION.js: it is no built web UI`);
    }

    const brand = {
        matched_domain: "localhost", branding_title: "authentik", branding_logo: "/static/dist/assets/icons/icon_left_brand.svg",
        branding_logo_themed_urls: null, branding_favicon: "/static/dist/assets/icons/icon.svg", branding_favicon_themed_urls: null,
        branding_custom_css: "", ui_footer_links: [], ui_theme: "light", default_locale: "", flags: {},
    };
    const config = {
        error_reporting: { enabled: false, sentry_dsn: "", environment: "test", send_pii: false, traces_sample_rate: 0 },
        capabilities: [], cache_timeout: 300, cache_timeout_flows: 300, cache_timeout_policies: 300,
    };
    const challenge = {
        component: options.stage, response_errors: {}, user_fields: ["username", "email"], password_fields: false,
        flow_info: { title: "Welcome to authentik!", background: "", background_themed_urls: null, cancel_url: "/cancel", layout: "stacked" },
        flow_designation: "authentication", primary_action: "Log in", sources: [], show_source_labels: false,
        allow_show_password: true, enable_remember_me: false, pending_user: "akadmin", pending_user_avatar: "data:,",
    };
    const api = [
        [/^\/api\/v3\/flows\/executor\//, challenge],
        [/^\/api\/v3\/root\/config\//, config],
        [/^\/api\/v3\/core\/brands\/current\//, brand],
    ];
    const script = (name) => `<script src="/static/dist/${name}" type="module"></script>`;
    const data = (value) => JSON.stringify(value).replaceAll("<", "\\u003c");
    // upstream has more styles than the sample
    const style = (name) => existsSync(join(webui, `dist/styles/${name}-${version}.css`))
        ? `<link rel="stylesheet" type="text/css" href="/static/dist/styles/${name}-${version}.css">` : "";
    const header = `<script>window.authentik = { locale: "en", config: ${data(config)}, brand: ${data(brand)}, versionFamily: "",
  versionSubdomain: "", build: "", api: { base: location.origin + "/", relBase: "/" }, flow: { layout: "stacked" } };</script>`;
    const pages = {
        flow: `<!DOCTYPE html><html lang="en" data-theme="light" data-theme-choice="light"><head><meta charset="UTF-8"><title>authentik</title>
<link rel="icon" href="${brand.branding_favicon}">${header}
${style("interface")}${style("static")}
${script(`poly-${version}.js`)}${script(`flow/FlowInterface-${version}.js`)}</head><body>
<ak-skip-to-content></ak-skip-to-content><ak-message-container></ak-message-container>
<div class="pf-c-page__drawer"><div class="pf-c-drawer pf-m-collapsed" id="flow-drawer"><div class="pf-c-drawer__main">
<div class="pf-c-drawer__content"><div class="pf-c-drawer__body">
<ak-flow-executor slug="default-authentication-flow" class="pf-c-login" data-layout="stacked" loading></ak-flow-executor>
</div></div></div></div></div></body></html>`,
        sfe: `<!DOCTYPE html><html lang="en"><head><meta charset="UTF-8"><title>authentik</title>
<link rel="icon" href="${brand.branding_favicon}">
<link rel="stylesheet" type="text/css" href="/static/dist/sfe/bootstrap.min.css">${header}</head>
<body><div class="card m-auto"><main id="flow-sfe-container"></main></div>
<script src="/static/dist/sfe/index.js"></script></body></html>`,
    };
    if (!pages[options.page]) {
        refuse(`there is no page ${options.page}: it is one of ${Object.keys(pages).join(", ")}`);
    }

    const types = {
        ".css": "text/css", ".js": "text/javascript", ".json": "application/json", ".map": "application/json",
        ".png": "image/png", ".svg": "image/svg+xml", ".woff": "font/woff", ".woff2": "font/woff2",
    };
    const server = createServer((request, response) => {
        const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
        const send = (type, body) => response.writeHead(200, { "content-type": type }).end(body);
        if (path.startsWith("/if/flow/")) {
            return send("text/html", pages[options.page]);
        }
        const answer = api.find(([pattern]) => pattern.test(path));
        if (answer) {
            return send("application/json", JSON.stringify(answer[1]));
        }
        const file = join(webui, normalize(path.replace(/^\/static/, "")));
        if (path.startsWith("/static/") && existsSync(file) && statSync(file).isFile()) {
            response.writeHead(200, { "content-type": types[extname(file)] ?? "application/octet-stream" });
            return createReadStream(file).pipe(response);
        }
        response.writeHead(404).end();
    });
    await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
    return { origin: `http://127.0.0.1:${server.address().port}`, version };
}
const { origin, version } = signsIn ? { origin: new URL(options["sign-in"]).origin } : await serve(webui);

// ---- The browser, by its own protocol

const profile = mkdtempSync(join(tmpdir(), "browser-"));
const chromium = spawn(
    process.env.CHROMIUM ?? "chromium",
    [
        "--headless=new", "--remote-debugging-port=0", `--user-data-dir=${profile}`, "--no-first-run", "--disable-gpu",
        "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--window-size=1280,900",
        ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), "about:blank",
    ],
    { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, HOME: profile, TMPDIR: profile } },
);
async function end(code) {
    chromium.kill("SIGKILL");
    await new Promise((gone) => (chromium.exitCode ?? chromium.signalCode) === null ? chromium.once("close", gone) : gone());
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
    process.exit(code);
}
chromium.on("error", (error) =>
    refuse(`chromium can't be run (${error.message}): apt-get install chromium, or name it in CHROMIUM`));
for (const [signal, code] of [["SIGHUP", 129], ["SIGINT", 130], ["SIGTERM", 143]]) {
    process.on(signal, () => end(code));
}
// nothing of it stays when this program fails
process.on("uncaughtException", async (error) => {
    console.error(error.message);
    await end(2);
});
const address = await new Promise((found, failed) => {
    let said = "";
    chromium.stderr.on("data", (bytes) => {
        said += bytes;
        const match = said.match(/DevTools listening on (ws:\S+)/);
        if (match) {
            found(match[1]);
        }
    });
    chromium.once("close", () => failed(new Error(`chromium ended:\n${said}`)));
    setTimeout(() => failed(new Error(`chromium does not answer:\n${said}`)), 60_000).unref();
});

const socket = new WebSocket(address);
await new Promise((open, failed) => {
    socket.onopen = open;
    socket.onerror = () => failed(new Error(`no connection to ${address}`));
});
const waiting = new Map();
const problems = [];
let loaded = 0;
const requests = new Map();
const pending = new Set();
let last = Date.now();
let sent = 0;
function call(method, params = {}, sessionId = undefined) {
    sent += 1;
    const id = sent;
    socket.send(JSON.stringify({ id, method, params, sessionId }));
    return new Promise((resolve, reject) => {
        const end = setTimeout(() => reject(new Error(`chromium does not answer ${method}`)), 60_000);
        waiting.set(id, { resolve, reject, end });
    });
}
// The challenges of the flow, as they came.
const challenges = [];
// The versions in the names of what was served.
const served = new Set();
const events = {
    "Network.requestWillBeSent": ({ requestId, request }) => {
        requests.set(requestId, request.url);
        pending.add(requestId);
        if (request.url.startsWith("http") && new URL(request.url).origin !== origin) {
            problems.push(`asked another host: ${request.url}`);
        }
    },
    "Network.responseReceived": ({ response }) => {
        loaded += 1;
        const [, name] = response.url.match(/\/static\/dist\/poly-(.*)\.js/) ?? [];
        if (name) {
            served.add(name);
        }
        if (response.status >= 400) {
            problems.push(`${response.status}: ${response.url.replace(origin, "")}`);
        }
    },
    "Network.loadingFinished": async ({ requestId }) => {
        pending.delete(requestId);
        if (signsIn && requests.get(requestId)?.includes("/api/v3/flows/executor/")) {
            // gone when the page is left already, and no JSON where the server fails
            const body = await page("Network.getResponseBody", { requestId }).then(({ body }) => JSON.parse(body)).catch(() => null);
            challenges.push(body);
        }
    },
    "Network.loadingFailed": ({ requestId, errorText, canceled }) => {
        pending.delete(requestId);
        const url = requests.get(requestId) ?? "";
        if (!canceled && url.startsWith("http")) {
            problems.push(`${errorText}: ${url.replace(origin, "")}`);
        }
    },
    "Network.webSocketFrameError": ({ errorMessage }) => problems.push(`web socket: ${errorMessage}`),
    "Runtime.consoleAPICalled": ({ type, args }) => {
        if (type === "error" || type === "assert") {
            problems.push(`console: ${args.map((arg) => arg.value ?? arg.description).join(" ")}`);
        }
    },
    "Runtime.exceptionThrown": ({ exceptionDetails: { text, exception } }) =>
        problems.push(`exception: ${exception?.description ?? text}`),
    "Log.entryAdded": ({ entry }) => {
        // what could not be loaded was counted above, by its path
        if (entry.level === "error" && entry.source !== "network") {
            problems.push(`console: ${entry.text}`);
        }
    },
};
socket.onmessage = ({ data: text }) => {
    const message = JSON.parse(text);
    if (message.id) {
        const { resolve, reject, end } = waiting.get(message.id);
        clearTimeout(end);
        waiting.delete(message.id);
        return message.error ? reject(new Error(message.error.message)) : resolve(message.result);
    }
    if (message.method?.startsWith("Network.")) {
        last = Date.now();
    }
    events[message.method]?.(message.params);
};

const { targetId } = await call("Target.createTarget", { url: "about:blank" });
const { sessionId } = await call("Target.attachToTarget", { targetId, flatten: true });
const page = (method, params) => call(method, params, sessionId);
for (const domain of ["Network", "Runtime", "Log", "Page"]) {
    await page(`${domain}.enable`);
}
const sleep = (milliseconds) => new Promise((later) => setTimeout(later, milliseconds));
async function evaluate(expression) {
    const ask = () => page("Runtime.evaluate", { expression, returnByValue: true });
    // it is asked of the next page where this one is left meanwhile
    const { result, exceptionDetails } = await ask().catch(() => sleep(500).then(ask));
    if (exceptionDetails) {
        throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    }
    return result.value;
}
async function picture(file) {
    const { data } = await page("Page.captureScreenshot", { format: "png" });
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, Buffer.from(data, "base64"));
}

// What is seen, through all shadow trees.
const seen = `(() => {
    const style = (node) => getComputedStyle(node.nodeType === 1 ? node : node.host);
    const text = (node) => {
        if (node.nodeType === 3) {
            return style(node.parentNode).visibility === "hidden" ? "" : node.data;
        }
        // what is in no slot has no style
        if (node.nodeType === 1 && ["none", ""].includes(style(node).display)) {
            return "";
        }
        return [node.placeholder ?? "", ...[node.shadowRoot, ...node.childNodes].map((it) => it ? text(it) : "")].join(" ");
    };
    return document.body ? text(document.body).replace(/\\s+/g, " ").trim() : "";
})()`;
const nothingLoads = () => Date.now() - last > 1500;

// ---- What was built

async function look() {
    await page("Page.navigate", { url: `${origin}/if/flow/default-authentication-flow/?next=/` });
    // until everything expected is there and nothing more is loaded
    let text = "";
    const limit = Date.now() + 60_000;
    for (;;) {
        text = await evaluate(seen) ?? "";
        const all = text && options.expect.every((wanted) => text.includes(wanted));
        if ((all && nothingLoads()) || Date.now() > limit) {
            break;
        }
        await sleep(100);
    }
    if (options.screenshot) {
        await picture(options.screenshot);
    }
    for (const wanted of options.expect) {
        if (!text.includes(wanted)) {
            problems.push(`not on the page: ${wanted}`);
        }
    }
    console.log(`${options.page} of ${version}: ${loaded} files and answers loaded; on the page: ${text.slice(0, 300)}`);
}

// ---- Signing in

const SECONDS = 60;
class Stop extends Error {}
async function until(what, check) {
    const limit = Date.now() + SECONDS * 1000;
    let found;
    while (!(found = await check())) {
        if (Date.now() > limit) {
            const place = await evaluate("location.pathname + location.hash");
            throw new Stop(`waited ${SECONDS} s for ${what}; on ${place}: ${(await evaluate(seen)).slice(0, 600)}`);
        }
        await sleep(100);
    }
    return found;
}
// What JavaScript makes of the first element that is seen and that a selector finds, through all shadow trees.
const first = (selector, body) => evaluate(`(() => {
    const find = (root) => {
        for (const it of root.querySelectorAll("*")) {
            const { width, height } = it.getBoundingClientRect();
            const isSeen = width > 1 && height > 1 && it.checkVisibility({ opacityProperty: true, visibilityProperty: true });
            const found = isSeen && it.matches(${JSON.stringify(selector)}) ? it : it.shadowRoot && find(it.shadowRoot);
            if (found) {
                return found;
            }
        }
    };
    const it = find(document);
    return it ? (${body})(it) : null;
})()`);
async function click(selector) {
    const middle = "({ x, y, width, height }) => [x + width / 2, y + height / 2]";
    const [x, y] = await until(`${selector} to be seen`, () => first(selector, `(it) => (${middle})(it.getBoundingClientRect())`));
    for (const type of ["mousePressed", "mouseReleased"]) {
        await page("Input.dispatchMouseEvent", { type, x, y, button: "left", clickCount: 1 });
    }
}
async function press(key, text = key) {
    await page("Input.dispatchKeyEvent", { type: "keyDown", key, text, ...(key === "Enter" ? { code: key, windowsVirtualKeyCode: 13 } : {}) });
    await page("Input.dispatchKeyEvent", { type: "keyUp", key });
}
async function type(selector, text) {
    await click(selector);
    await until(`${selector} to have the focus`, () => first(selector, "(it) => it.matches(':focus')"));
    // what was typed before may still be there
    await page("Input.dispatchKeyEvent", { type: "keyDown", key: "a", modifiers: 2, commands: ["selectAll"] });
    await page("Input.dispatchKeyEvent", { type: "keyUp", key: "a", modifiers: 2 });
    for (const key of text) {
        await press(key);
    }
    await until(`what was typed to be in ${selector}`, async () => await first(selector, "(it) => it.value") === text);
}
async function settled(what, name) {
    const loads = async () => pending.size > 0 || !nothingLoads() || await evaluate("document.fonts.status") !== "loaded";
    await until(`${what} to have loaded all`, async () => !await loads());
    await until(`${what} to show what it loaded`, () => first(SPINNER, "() => true").then((it) => !it));
    if (options.screenshots) {
        await picture(join(options.screenshots, `${name}.png`));
    }
}
const SPINNER = ".pf-c-spinner";
const USER = "input[name=uidField]";
const PASSWORD = "input[name=password]";
// What was wrong with an answer, in the server's words.
const errors = (challenge) => Object.values(challenge?.response_errors ?? {}).flat().map((it) => it.string).join(" ");
const onFlow = async () => (await evaluate("location.pathname")).startsWith("/if/flow/");

async function signIn() {
    const times = [];
    let begun = Date.now();
    const done = (what) => {
        times.push(`${what} ${((Date.now() - begun) / 1000).toFixed(1)} s`);
        begun = Date.now();
    };
    await page("Emulation.setDeviceMetricsOverride", { width: 1280, height: 800, deviceScaleFactor: 1, mobile: false });
    await page("Emulation.setScrollbarsHidden", { hidden: true });
    const { errorText } = await page("Page.navigate", { url: options["sign-in"] });
    if (errorText) {
        throw new Stop(`${options["sign-in"]}: ${errorText}`);
    }
    await until("the login page", () => first(USER, "() => true"));
    await settled("the login page", "login");
    done("login");

    await type(USER, options.user);
    await press("Enter", "\r");
    await until("the page that asks for the password", () => first(PASSWORD, "() => true"));
    await settled("the page that asks for the password", "password");
    done("password");

    let answered = challenges.length;
    await type(PASSWORD, `not ${options.password}`);
    await press("Enter", "\r");
    await until("an answer to a wrong password", async () => challenges.length > answered || !await onFlow());
    const refused = challenges.slice(answered).map(errors).join(" ").trim();
    if (!refused) {
        throw new Stop("a wrong password was accepted");
    }
    await until(`"${refused}" to be shown of a wrong password`, async () => (await evaluate(seen)).includes(refused));
    await settled("the page that refuses a password", "refused");
    done("refused");

    answered = challenges.length;
    await type(PASSWORD, options.password);
    await click("button:not([type=button])");
    await until("who signs in to leave the login page", async () => {
        const said = challenges.slice(answered).map(errors).find(Boolean);
        if (said) {
            throw new Stop(`${options.user} can't sign in: ${said}`);
        }
        return !await onFlow();
    });
    for (const wanted of options.expect.length > 0 ? options.expect : ["My applications"]) {
        await until(`"${wanted}" on the page of who signed in`, async () => (await evaluate(seen)).includes(wanted));
    }
    await settled("the page of who signed in", "user");
    done("user");

    if (!options["no-admin"]) {
        await page("Page.navigate", { url: `${origin}/if/admin/` });
        const shown = await until("a version in the admin interface", async () => (await evaluate(seen)).match(/\b20\d\d\.\d+\.\d+\S*/)?.[0]);
        if (options.version && shown !== options.version) {
            problems.push(`the admin interface shows version ${shown}, and ${options.version} is wanted`);
        }
        await settled("the admin interface", "admin");
        done("admin");
    }
    const versions = [...served].join(", ");
    if (options.version && versions !== options.version) {
        problems.push(`the web UI is of version ${versions}, and ${options.version} is wanted`);
    }
    console.log(`signed in as ${options.user} to ${versions}: ${loaded} files and answers loaded; ${times.join(", ")}`);
}

try {
    await (signsIn ? signIn() : look());
} catch (error) {
    if (!(error instanceof Stop)) {
        throw error;
    }
    problems.push(error.message);
    if (options.screenshots) {
        await picture(join(options.screenshots, "failed.png"));
    }
}
for (const problem of new Set(problems)) {
    console.error(problem);
}
await end(problems.length > 0 ? 1 : 0);
