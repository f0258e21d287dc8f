// Tries a TypeScript client for the API of authentik, the real one or the one
// made from the sample schema, against a stub server on this machine.
//
//   node request.mjs                     the package as found by its name, in
//                                        node_modules/@goauthentik/api next to
//                                        this file or further up
//   node request.mjs DIRECTORY           the package in that directory
//   node request.mjs DIRECTORY FIELD...  only these entries of its package.json
//                                        ("main", "module")
//
// openapi.json, the schema as JSON, lies next to this file.
//
// How Node loads the package: its package.json has no "type", no "exports", so
// dist/index.js ("main") and dist/esm/index.js ("module", which Node itself
// never looks at) are both read as CommonJS. They are CommonJS, too, because
// tsc with module NodeNext follows that same package.json. `require` and
// `import` therefore work with both files, and `import` sees the names, as Node
// recognises the way in which tsc writes `export *`. Were dist/esm real ESM,
// Node could not load it: the generated code imports "./runtime", without
// ".js". All this is the same in Node 20 and Node 24.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const NAME = "@goauthentik/api";
const UUID = "6f0c3d9e-6a43-4d55-9d0e-0a4f6c1b2e11";
const TOKEN = "sample-token";

// What the stub server answers: what the tests look at, completed from the schema,
// for another release may require other properties.

const { schemas } = JSON.parse(
    readFileSync(new URL("openapi.json", import.meta.url), "utf8"),
).components;

// Follows references.
function real(schema) {
    const next = schema.allOf ?? schema.oneOf;
    if (schema.$ref) {
        return real(schemas[schema.$ref.slice(schema.$ref.lastIndexOf("/") + 1)]);
    }
    return next ? real(next[0]) : schema;
}

// Makes the least that will do for a value.
function least(schema) {
    if (schema.nullable) {
        return null;
    }
    const { type, format, enum: values } = real(schema);
    if (values) {
        return values[0];
    }
    switch (type) {
        case "boolean":
            return true;
        case "integer":
        case "number":
            return 1;
        case "array":
            return [];
        case "string":
            return { "date-time": "2026-01-02T03:04:05Z", date: "2026-01-02" }[format] ?? "text";
    }
    return complete(schema, {});
}

// Adds what a value must have and does not.
function complete(schema, value) {
    const { items, properties = {}, required = [] } = schema ? real(schema) : {};
    if (Array.isArray(value)) {
        return value.map((item) => complete(items, item));
    }
    if (typeof value !== "object" || value === null) {
        return value;
    }
    const given = Object.entries(value).map(([name, it]) => [name, complete(properties[name], it)]);
    const lacking = required.filter((name) => !Object.hasOwn(value, name));
    const made = lacking.map((name) => [name, least(properties[name])]);
    return Object.fromEntries([...given, ...made]);
}

const pagination = {
    next: 3,
    previous: 1,
    count: 5,
    current: 2,
    total_pages: 3,
    start_index: 3,
    end_index: 4,
};

const application = complete(schemas.Application, {
    pk: UUID,
    name: "Wiki",
    slug: "wiki",
    provider_obj: { pk: 7, assigned_application_slug: "wiki" },
    launch_url: null,
    open_in_new_tab: true,
    meta_icon_url: "/media/wiki.svg",
    meta_icon_themed_urls: { light: "/media/wiki-light.svg", dark: null },
    policy_engine_mode: "any",
});

const user = complete(schemas.User, {
    last_login: null,
    date_joined: "2026-01-02T03:04:05.678Z",
    groups_obj: [{ num_pk: 12 }],
    attributes: { "snake_key": { deep_key: [1, 2] } },
    type: "service_account",
});

const list = (...results) => ({ pagination, results, autocomplete: {} });

async function withStub(answers, use) {
    const seen = [];
    const server = createServer((request, response) => {
        const chunks = [];
        request.on("data", (chunk) => chunks.push(chunk));
        request.on("end", () => {
            seen.push({
                method: request.method,
                url: request.url,
                path: request.url.split("?")[0],
                query: new URL(request.url, "http://stub").searchParams,
                headers: request.headers,
                body: Buffer.concat(chunks),
            });
            const { status = 200, json } = answers[seen.length - 1];
            if (json === undefined) {
                response.writeHead(status).end();
            } else {
                response
                    .writeHead(status, { "Content-Type": "application/json" })
                    .end(JSON.stringify(json));
            }
        });
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    try {
        await use(`http://127.0.0.1:${server.address().port}/api/v3`, seen);
        assert.equal(seen.length, answers.length, "each answer is used once");
    } finally {
        server.closeAllConnections();
        await new Promise((done) => server.close(done));
    }
}

// One test for each subject. `api` is what the package exports.

const tests = {
    async "default base path"(api) {
        assert.equal(api.BASE_PATH, "/api/v3");
        assert.equal(new api.Configuration().basePath, "/api/v3");
    },

    async "list with query and pagination"(api) {
        await withStub([{ json: list(application) }], async (basePath, seen) => {
            const core = new api.CoreApi(new api.Configuration({ basePath, accessToken: TOKEN }));
            const page = await core.coreApplicationsList({
                search: "a&b=c +é/?#%",
                onlyWithLaunchUrl: false,
                superuserFullList: true,
                page: 2,
                pageSize: 2,
                name: undefined,
            });

            const [request] = seen;
            assert.equal(request.method, "GET");
            assert.equal(request.path, "/api/v3/core/applications/");
            assert.equal(request.headers.authorization, `Bearer ${TOKEN}`);
            assert.equal(request.body.length, 0);
            assert.deepEqual(Object.fromEntries(request.query), {
                search: "a&b=c +é/?#%",
                only_with_launch_url: "false",
                superuser_full_list: "true",
                page: "2",
                page_size: "2",
            });
            assert.ok(request.url.includes("search=a%26b%3Dc%20%2B%C3%A9%2F%3F%23%25"), request.url);

            assert.equal(page.pagination.totalPages, 3);
            assert.equal(page.pagination.startIndex, 3);
            assert.deepEqual(page.autocomplete, {});
            const [first] = page.results;
            assert.equal(first.slug, "wiki");
            assert.equal(first.openInNewTab, true);
            assert.equal(first.launchUrl, null);
            assert.equal(first.metaIconThemedUrls.light, "/media/wiki-light.svg");
            assert.equal(first.policyEngineMode, api.PolicyEngineMode.Any);
            assert.equal(first.providerObj.assignedApplicationSlug, "wiki");
            assert.ok(!("open_in_new_tab" in first));
        });
    },

    async "query with arrays, enum values and a time"(api) {
        await withStub([{ json: list(user) }], async (basePath, seen) => {
            const core = new api.CoreApi(new api.Configuration({ basePath, accessToken: TOKEN }));
            const page = await core.coreUsersList({
                groupsByName: ["Staff & Co", "plain"],
                type: [
                    api.CoreUsersListTypeEnum.External,
                    api.CoreUsersListTypeEnum.ServiceAccount,
                ],
                dateJoinedGt: new Date("2026-01-01T00:00:00Z"),
                isActive: true,
            });

            const { query, url } = seen[0];
            assert.deepEqual(query.getAll("groups_by_name"), ["Staff & Co", "plain"]);
            assert.ok(url.includes("groups_by_name=Staff%20%26%20Co&groups_by_name=plain"), url);
            assert.deepEqual(query.getAll("type"), ["external", "service_account"]);
            assert.equal(query.get("date_joined__gt"), "2026-01-01T00:00:00.000Z");
            assert.equal(query.get("is_active"), "true");

            const [first] = page.results;
            assert.ok(first.dateJoined instanceof Date);
            assert.equal(first.dateJoined.toISOString(), user.date_joined);
            assert.equal(first.lastLogin ?? null, null);
            assert.equal(first.type, api.UserTypeEnum.ServiceAccount);
            assert.equal(first.groupsObj[0].numPk, 12);
            // Keys in free maps belong to the user and stay as they are.
            assert.deepEqual(first.attributes, user.attributes);
        });
    },

    async "query with an array joined by commas"(api) {
        await withStub([{ json: list() }], async (basePath, seen) => {
            const policies = new api.PoliciesApi(new api.Configuration({ basePath }));
            const page = await policies.policiesReputationScoresList({ identifierIn: ["a", "b"] });
            assert.deepEqual(seen[0].query.getAll("identifier_in"), ["a,b"]);
            assert.equal(seen[0].headers.authorization, undefined);
            assert.deepEqual(page.results, []);
        });
    },

    async "create with a body"(api) {
        await withStub([{ status: 201, json: application }], async (basePath, seen) => {
            const core = new api.CoreApi(
                // A token can also come from a function.
                new api.Configuration({ basePath, accessToken: async () => TOKEN }),
            );
            const created = await core.coreApplicationsCreate({
                applicationRequest: {
                    name: 'Wiki "é"',
                    slug: "wiki",
                    provider: null,
                    backchannelProviders: [1, 2],
                    openInNewTab: false,
                    policyEngineMode: api.PolicyEngineMode.All,
                    // Read-only, hence no part of the request.
                    pk: UUID,
                    launchUrl: "https://example.com/",
                    notInTheSchema: 1,
                },
            });

            const [request] = seen;
            assert.equal(request.method, "POST");
            assert.equal(request.url, "/api/v3/core/applications/");
            assert.equal(request.headers.authorization, `Bearer ${TOKEN}`);
            assert.equal(request.headers["content-type"], "application/json");
            assert.deepEqual(JSON.parse(request.body.toString("utf8")), {
                name: 'Wiki "é"',
                slug: "wiki",
                provider: null,
                backchannel_providers: [1, 2],
                open_in_new_tab: false,
                policy_engine_mode: "all",
            });
            assert.equal(created.pk, UUID);
            assert.equal(created.metaIconUrl, "/media/wiki.svg");
        });
    },

    async "change a part, with odd characters in the path"(api) {
        await withStub([{ json: application }], async (basePath, seen) => {
            const core = new api.CoreApi(new api.Configuration({ basePath, accessToken: TOKEN }));
            await core.coreApplicationsPartialUpdate({
                slug: "a b/é?",
                patchedApplicationRequest: { openInNewTab: true },
            });
            assert.equal(seen[0].method, "PATCH");
            assert.equal(seen[0].url, "/api/v3/core/applications/a%20b%2F%C3%A9%3F/");
            assert.deepEqual(JSON.parse(seen[0].body.toString("utf8")), { open_in_new_tab: true });
        });
    },

    async "delete without an answer"(api) {
        await withStub([{ status: 204 }], async (basePath, seen) => {
            const core = new api.CoreApi(new api.Configuration({ basePath, accessToken: TOKEN }));
            assert.equal(await core.coreGroupsDestroy({ groupUuid: UUID }), undefined);
            assert.equal(seen[0].method, "DELETE");
            assert.equal(seen[0].url, `/api/v3/core/groups/${UUID}/`);
        });
    },

    async "file upload"(api) {
        await withStub([{}], async (basePath, seen) => {
            const admin = new api.AdminApi(new api.Configuration({ basePath, accessToken: TOKEN }));
            const bytes = Uint8Array.from([0, 255, 13, 10, 45, 45, 128]);
            await admin.adminFileCreate({
                file: new File([bytes], "pixel é.bin", { type: "image/png" }),
                name: "folder/pixel.bin",
                usage: "media",
            });

            const [request] = seen;
            assert.equal(request.method, "POST");
            assert.equal(request.url, "/api/v3/admin/file/");
            assert.equal(request.headers.authorization, `Bearer ${TOKEN}`);
            assert.match(request.headers["content-type"], /^multipart\/form-data; boundary=/);
            const form = await new Response(request.body, {
                headers: { "Content-Type": request.headers["content-type"] },
            }).formData();
            assert.deepEqual([...form.keys()].sort(), ["file", "name", "usage"]);
            assert.equal(form.get("name"), "folder/pixel.bin");
            assert.equal(form.get("usage"), "media");
            const file = form.get("file");
            assert.equal(file.name, "pixel é.bin");
            assert.equal(file.type, "image/png");
            assert.deepEqual(new Uint8Array(await file.arrayBuffer()), bytes);
        });
    },

    async "one of several models, told apart by a property"(api) {
        const answers = [
            {
                json: complete(schemas.PasswordChallenge, {
                    component: "ak-stage-password",
                    flow_info: { cancel_url: "/cancel/", layout: "content_left" },
                    response_errors: { password: [{ string: "Wrong.", code: "invalid" }] },
                    pending_user: "ada",
                    pending_user_avatar: "/ada.png",
                }),
            },
            {
                json: complete(schemas.RedirectChallenge, {
                    component: "xak-flow-redirect",
                    to: "/if/user/",
                }),
            },
        ];
        await withStub(answers, async (basePath, seen) => {
            const flows = new api.FlowsApi(new api.Configuration({ basePath }));
            const challenge = await flows.flowsExecutorGet({
                flowSlug: "login",
                query: "next=%2Fif%2F&x=1",
            });
            assert.equal(seen[0].query.get("query"), "next=%2Fif%2F&x=1");
            assert.equal(challenge.component, "ak-stage-password");
            assert.equal(challenge.pendingUserAvatar, "/ada.png");
            assert.equal(challenge.flowInfo.cancelUrl, "/cancel/");
            assert.equal(challenge.responseErrors.password[0].code, "invalid");

            const next = await flows.flowsExecutorSolve({
                flowSlug: "login",
                query: "",
                flowChallengeResponseRequest: {
                    component: "ak-stage-password",
                    password: "pässword",
                },
            });
            assert.equal(seen[1].method, "POST");
            assert.deepEqual(JSON.parse(seen[1].body.toString("utf8")), {
                component: "ak-stage-password",
                password: "pässword",
            });
            assert.equal(next.component, "xak-flow-redirect");
            assert.equal(next.to, "/if/user/");
        });
    },

    async "errors"(api) {
        const answers = [
            { status: 400, json: { slug: ["Taken."], code: "invalid" } },
            { status: 403, json: { detail: "No." } },
        ];
        await withStub(answers, async (basePath) => {
            const config = new api.Configuration({ basePath, accessToken: TOKEN });
            const core = new api.CoreApi(config);
            const refused = async (promise, status) => {
                const error = await promise.then(
                    () => assert.fail("should have been refused"),
                    (reason) => reason,
                );
                assert.ok(error instanceof api.ResponseError, String(error));
                assert.equal(error.name, "ResponseError");
                assert.equal(error.response.status, status);
                return error.response.json();
            };
            const invalid = await refused(
                core.coreApplicationsCreate({ applicationRequest: { name: "x", slug: "wiki" } }),
                400,
            );
            assert.deepEqual(api.ValidationErrorFromJSON(invalid).slug, ["Taken."]);
            const generic = await refused(new api.AdminApi(config).adminVersionRetrieve(), 403);
            assert.equal(api.GenericErrorFromJSON(generic).detail, "No.");
            // A parameter that is missing is found before anything is sent.
            await assert.rejects(
                core.coreApplicationsCreate({}),
                (error) => error instanceof api.RequiredError && error.field === "applicationRequest",
            );
        });
    },

    async "no server"(api) {
        let free;
        await withStub([], async (basePath) => {
            free = basePath;
        });
        await assert.rejects(
            new api.AdminApi(new api.Configuration({ basePath: free })).adminVersionRetrieve(),
            (error) => error instanceof api.FetchError && error.cause instanceof Error,
        );
    },
};

// Load the package in each way in which it can be loaded, and test each.

const require = createRequire(import.meta.url);
const [directory, ...chosen] = process.argv.slice(2);
const fields = chosen.length ? chosen : ["main", "module"];
const manifest = directory
    ? resolve(directory, "package.json")
    : require.resolve(`${NAME}/package.json`);
const description = JSON.parse(readFileSync(manifest, "utf8"));
assert.equal(description.name, NAME);

const ways = [];
if (!directory && fields.includes("main")) {
    ways.push([`import "${NAME}"`, () => import(NAME)]);
    ways.push([`require "${NAME}"`, async () => require(NAME)]);
}
for (const field of fields) {
    const file = resolve(dirname(manifest), description[field]);
    assert.ok(existsSync(file), `"${field}" of package.json is ${description[field]}: no such file`);
    ways.push([`import ${description[field]}`, () => import(pathToFileURL(file).href)]);
    ways.push([`require ${description[field]}`, async () => require(file)]);
}

let failed = 0;
for (const [way, load] of ways) {
    const api = await load();
    for (const [name, test] of Object.entries(tests)) {
        try {
            await test(api);
        } catch (error) {
            failed += 1;
            console.error(`FAILED ${way}: ${name}\n`, error);
        }
    }
}
console.log(
    `${NAME} ${description.version}, Node ${process.version}: ` +
        `${ways.length} ways to load it, ${Object.keys(tests).length} tests each, ${failed} failed`,
);
process.exitCode = failed ? 1 : 0;
