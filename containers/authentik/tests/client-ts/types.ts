// Uses the client the way a program would. Must pass `tsc -p tsconfig.json`,
// with the real client and with the one made from the sample schema. Which
// properties models have and of what types is in schema-types.ts, which
// schema-types.mjs makes from the schema: it is not the same in each release.

import {
    AdminApi,
    type Application,
    type ApplicationRequest,
    type ChallengeTypes,
    Configuration,
    type ConfigurationParameters,
    CoreApi,
    type CoreApplicationsListRequest,
    CoreUsersListTypeEnum,
    FlowsApi,
    type Middleware,
    PolicyEngineMode,
    ResponseError,
    UserTypeEnum,
    type Version,
} from "@goauthentik/api";
import { holds, type Same } from "./same.ts";

holds<Same<CoreApplicationsListRequest["superuserFullList"], boolean | undefined>>();
holds<Same<(typeof PolicyEngineMode)["Any"], "any">>();
holds<Same<(typeof CoreUsersListTypeEnum)["ServiceAccount"], "service_account">>();

// What the server alone decides can be read but not changed, nor asked for.
holds<Same<Extract<keyof ApplicationRequest, "pk" | "launchUrl" | "providerObj">, never>>();

const trace: Middleware = {
    async pre({ url, init }) {
        return { url, init: { ...init, headers: { ...init.headers, "X-Trace": "1" } } };
    },
};
const parameters: ConfigurationParameters = {
    basePath: "https://authentik.example.com/api/v3",
    accessToken: async () => "token",
    middleware: [trace],
};
const config = new Configuration(parameters);

export async function slugs(search?: string): Promise<string[]> {
    const core = new CoreApi(config);
    const found: string[] = [];
    for (let page = 1; page > 0; ) {
        const list = await core.coreApplicationsList({ search, page, pageSize: 100 });
        found.push(...list.results.map((application) => application.slug));
        page = list.pagination.next;
    }
    return found;
}

export async function create(name: string): Promise<Application | undefined> {
    const applicationRequest: ApplicationRequest = {
        name,
        slug: name.toLowerCase(),
        provider: null,
        policyEngineMode: PolicyEngineMode.All,
    };
    try {
        return await new CoreApi(config).coreApplicationsCreate({ applicationRequest });
    } catch (error) {
        if (error instanceof ResponseError && error.response.status === 400) {
            return undefined;
        }
        throw error;
    }
}

export async function robots(since: Date): Promise<Map<string, Date>> {
    const list = await new CoreApi(config).coreUsersList({
        dateJoinedGt: since,
        groupsByName: ["robots"],
        type: [CoreUsersListTypeEnum.ServiceAccount],
    });
    return new Map(
        list.results
            .filter((user) => user.type === UserTypeEnum.ServiceAccount)
            .map((user) => [user.username, user.dateJoined]),
    );
}

// The component tells which of the challenges it is.
export function describe(challenge: ChallengeTypes): string {
    switch (challenge.component) {
        case "ak-stage-password":
            return challenge.pendingUser;
        case "xak-flow-redirect":
            return challenge.to;
        default:
            return challenge.component ?? "unknown";
    }
}

export async function first(flowSlug: string): Promise<string> {
    return describe(await new FlowsApi(config).flowsExecutorGet({ flowSlug, query: "" }));
}

export async function upload(file: Blob): Promise<Version> {
    const admin = new AdminApi(config);
    const nothing: void = await admin.adminFileCreate({ file, name: "logo.svg" });
    void nothing;
    return admin.adminVersionRetrieve();
}
