// Writes a TypeScript program that type-checks only if the models have the properties that the schema
// gives them, with the types that the schema gives them.
//
//   node schema-types.mjs OPENAPI.JSON >schema-types.ts

import { readFileSync } from "node:fs";

const MODELS = [
    "Application",
    "ApplicationRequest",
    "ContextualFlowInfo",
    "ErrorDetail",
    "GenericError",
    "PaginatedApplicationList",
    "PaginatedUserList",
    "Pagination",
    "PartialGroup",
    "PasswordChallenge",
    "PatchedApplicationRequest",
    "Provider",
    "RedirectChallenge",
    "ThemedUrls",
    "User",
    "Version",
];

const { schemas } = JSON.parse(readFileSync(process.argv[2], "utf8")).components;
const imports = new Set(MODELS);

const nameOf = (reference) => reference.slice(reference.lastIndexOf("/") + 1);
const camelCase = (name) => name.replace(/_+(.)/g, (_, letter) => letter.toUpperCase());

function typeOf(schema) {
    const type = plainTypeOf(schema);
    return schema.nullable ? `${type} | null` : type;
}

function plainTypeOf({ $ref, allOf, type, format, enum: values, items, additionalProperties }) {
    if (allOf) {
        return plainTypeOf(allOf[0]);
    }
    if ($ref) {
        const name = nameOf($ref);
        const { properties, enum: named } = schemas[name];
        if (!properties && !named) {
            return plainTypeOf(schemas[name]);
        }
        imports.add(name);
        return name;
    }
    if (values) {
        throw new Error("an enum without a name has a type of its own");
    }
    switch (type) {
        case "string":
            return ["date", "date-time"].includes(format) ? "Date" : "string";
        case "integer":
        case "number":
            return "number";
        case "boolean":
            return "boolean";
        case "array":
            return `Array<${typeOf(items)}>`;
    }
    const isOfAny = !additionalProperties || Object.keys(additionalProperties).length === 0;
    return `{ [key: string]: ${isOfAny ? "any" : typeOf(additionalProperties)} }`;
}

const lines = [];
for (const model of MODELS) {
    const { properties, required = [] } = schemas[model];
    const keys = Object.keys(properties).map((property) => `"${camelCase(property)}"`);
    lines.push(`holds<Same<keyof ${model}, ${keys.join(" | ")}>>();`);
    for (const [property, schema] of Object.entries(properties)) {
        const type = typeOf(schema) + (required.includes(property) ? "" : " | undefined");
        lines.push(`holds<Same<${model}["${camelCase(property)}"], ${type}>>();`);
    }
}
console.log(`import type { ${[...imports].sort().join(", ")} } from "@goauthentik/api";
import { holds, type Same } from "./same.ts";

${lines.join("\n")}`);
