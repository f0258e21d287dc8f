import background from "../assets/images/flow.svg";

import { Configuration, FlowsApi } from "@goauthentik/api";

// Shows the challenge at which a flow stands, as the API gives it.
class FlowExecutor extends HTMLElement {
    async connectedCallback() {
        const api = new FlowsApi(new Configuration({ basePath: `${window.location.origin}/api/v3` }));
        const language = navigator.language.startsWith("de") ? "de" : "en";
        const words = language === "de" ? await import("../locales/de.js") : await import("../locales/en.js");
        const challenge = await api.flowsExecutorGet({
            flowSlug: this.getAttribute("slug") ?? "",
            query: window.location.search.slice(1),
        });

        const { default: help } = await import("~docs/flow/index.md");
        this.innerHTML = `<main>
            <img alt="" width="64" src="${new URL(background, import.meta.url).href}">
            <h1></h1>
            <p>${words.default.title}</p>
            <input name="password" type="password"><button>${words.default.submit}</button>
            <footer>authentik ${import.meta.env.AK_VERSION} (${import.meta.env.AK_VERSION_FAMILY})</footer>
        </main>`;
        this.querySelector("h1")!.textContent = challenge.flowInfo?.title ?? challenge.component ?? "";
        this.dataset.help = help;
    }
}

customElements.define("ak-flow-executor", FlowExecutor);
