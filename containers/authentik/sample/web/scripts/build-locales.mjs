// The texts of the interface, one module per language.
import { mkdirSync, writeFileSync } from "node:fs";

const texts = {
    de: { title: "Willkommen", submit: "Anmelden" },
    en: { title: "Welcome", submit: "Log in" },
};

mkdirSync("src/locales", { recursive: true });
for (const [language, words] of Object.entries(texts)) {
    writeFileSync(`src/locales/${language}.js`, `export default ${JSON.stringify(words)};\n`);
}
