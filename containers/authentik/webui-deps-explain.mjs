// webui-deps-explain.mjs LOCK LOG...: says what npm's errors mean, by what it wrote into its logs: which
// locked packages the registry lacks, which are not what the lock file says. npm itself names an address.
import { readFileSync } from "node:fs";

const [lockFile, ...logs] = process.argv.slice(2);
const lock = JSON.parse(readFileSync(lockFile, "utf8"));
const log = logs.map((file) => readFileSync(file, "utf8")).join("\n");
const { pinKey, pinsName } = process.env;
const pin = pinKey ? `; the trees are pinned as \`${pinKey}\` in ${pinsName}` : "";

const packages = Object.entries(lock.packages)
    .filter(([path, entry]) => path.includes("node_modules/") && !entry.link)
    .map(([path, entry]) => {
        const name = entry.name ?? path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
        return { name, version: entry.version, integrity: entry.integrity };
    });

// The login of an address is nobody's business.
const shown = (address) => address.replace(/\/\/[^/@]*@/, "//");

const say = (text) => console.error(`webui-deps: ${text}`);
const seen = new Set();
const once = (text) => {
    if (!seen.has(text)) {
        seen.add(text);
        say(text);
    }
};

for (const [, status, address] of log.matchAll(/http fetch GET (4\d\d) (\S+)/g)) {
    const path = decodeURIComponent(new URL(address).pathname);
    const tarball = packages.find(
        ({ name, version }) => path.endsWith(`/${name}/-/${name.split("/").pop()}-${version}.tgz`),
    );
    const whole = packages.find(({ name }) => path.endsWith(`/${name}`));
    if (tarball) {
        once(`the registry lacks ${tarball.name} ${tarball.version}, which package-lock.json wants: ${status} at ${shown(address)}`);
    } else if (whole) {
        once(`the registry lacks ${whole.name}, which package-lock.json wants at ${whole.version}: ${status} at ${shown(address)}`);
    }
}
for (const [, wanted] of log.matchAll(/integrity checksum failed when using \w+: wanted (\S+) but got/gi)) {
    for (const { name, version, integrity } of packages) {
        if (integrity === wanted) {
            once(`the tarball of ${name} ${version} is not what package-lock.json says (${wanted}): refused`);
        }
    }
}
if (/code EUSAGE/.test(log)) {
    once(`package.json and package-lock.json disagree: \`npm install\` in web/ mends the lock file${pin}`);
}
// When all connections fail at once, npm ends without an error of its own.
if (/\b(ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ENETUNREACH)\b|Exit handler never called/.test(log)) {
    once("the registry can't be reached: `npm ping` shows whether npm can reach it with the settings of this machine");
}
if (/code ENOSPC/.test(log)) {
    once("the disk is full: `nix-collect-garbage` deletes what no build is linked to");
}
