#!/usr/bin/env node
// Loads a page of a built web UI in a real browser, and fails on anything that it can't load and on any
// error in its console. The server around it is a stub: the pages are what the server would make of its
// templates, the API answers with one challenge.
//
//   xtask/tests/browser.mjs WEBUI [--page flow|sfe] [--stage NAME] [--screenshot FILE] [--expect TEXT]
//
// WEBUI     a built web UI, such as target/test-build/authentik/webui
// --page    flow: the login page (default); sfe: the one for old browsers
// --stage   the stage of the challenge (default ak-stage-identification)
// --expect  a text that has to be seen on the page, shadow trees included; may be given several times
//
// Needs Node 22 or later, and Chromium (`chromium` on PATH, or CHROMIUM). As root it runs without
// Chromium's own sandbox, which root can't use: it loads nothing but what lies in WEBUI.
import { spawn } from "node:child_process";
import { createReadStream, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, extname, join, normalize } from "node:path";
import { parseArgs } from "node:util";

const { values: options, positionals } = parseArgs({
    allowPositionals: true,
    options: {
        page: { type: "string", default: "flow" },
        stage: { type: "string", default: "ak-stage-identification" },
        screenshot: { type: "string" },
        expect: { type: "string", multiple: true, default: [] },
    },
});
const [webui] = positionals;
if (!webui || !existsSync(join(webui, "dist"))) {
    console.error("usage: xtask/tests/browser.mjs WEBUI [--page flow|sfe] [--stage NAME] [--screenshot FILE] [--expect TEXT]");
    process.exit(2);
}

// ---- The server

const version = readdirSync(join(webui, "dist"))
    .map((name) => name.match(/^poly-(.*)\.js$/)?.[1])
    .find(Boolean);
if (!version) {
    console.error(`${webui}/dist has no poly-VERSION.js: it is no built web UI`);
    process.exit(2);
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
    console.error(`there is no page ${options.page}: it is one of ${Object.keys(pages).join(", ")}`);
    process.exit(2);
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
const origin = `http://127.0.0.1:${server.address().port}`;

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
chromium.on("error", (error) => {
    console.error(`chromium can't be run (${error.message}): apt-get install chromium, or name it in CHROMIUM`);
    process.exit(2);
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
let last = Date.now();
let sent = 0;
function call(method, params = {}, sessionId = undefined) {
    sent += 1;
    socket.send(JSON.stringify({ id: sent, method, params, sessionId }));
    return new Promise((resolve, reject) => waiting.set(sent, { resolve, reject }));
}
const events = {
    "Network.requestWillBeSent": ({ requestId, request }) => requests.set(requestId, request.url),
    "Network.responseReceived": ({ response }) => {
        loaded += 1;
        if (response.status >= 400) {
            problems.push(`${response.status}: ${response.url.replace(origin, "")}`);
        }
    },
    "Network.loadingFailed": ({ requestId, errorText, canceled }) => {
        const url = requests.get(requestId) ?? "";
        if (!canceled && url.startsWith("http")) {
            problems.push(`${errorText}: ${url.replace(origin, "")}`);
        }
    },
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
        const { resolve, reject } = waiting.get(message.id);
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
await page("Page.navigate", { url: `${origin}/if/flow/default-authentication-flow/?next=/` });

// What is seen, through all shadow trees, until everything expected is there and nothing more is loaded.
const seen = `(() => {
    const text = (node) => node.nodeType === 3 ? node.data
        : ["SCRIPT", "STYLE", "TEMPLATE"].includes(node.nodeName) ? ""
        : [node.placeholder ?? "", node.shadowRoot, ...(node.childNodes ?? [])].map((it) => typeof it === "string" ? it : it ? text(it) : "").join(" ");
    return text(document.body).replace(/\\s+/g, " ").trim();
})()`;
let text = "";
const limit = Date.now() + 60_000;
for (;;) {
    text = (await page("Runtime.evaluate", { expression: seen, returnByValue: true })).result.value ?? "";
    const quiet = Date.now() - last > 1500;
    const all = text && options.expect.every((wanted) => text.includes(wanted));
    if ((all && quiet) || Date.now() > limit) {
        break;
    }
    await new Promise((later) => setTimeout(later, 100));
}
if (options.screenshot) {
    const { data: picture } = await page("Page.captureScreenshot", { format: "png" });
    mkdirSync(dirname(options.screenshot), { recursive: true });
    writeFileSync(options.screenshot, Buffer.from(picture, "base64"));
}
for (const wanted of options.expect) {
    if (!text.includes(wanted)) {
        problems.push(`not on the page: ${wanted}`);
    }
}
console.log(`${options.page} of ${version}: ${loaded} files and answers loaded; on the page: ${text.slice(0, 300)}`);
for (const problem of new Set(problems)) {
    console.error(problem);
}
await end(problems.length > 0 ? 1 : 0);
