import background from "../assets/images/flow.svg";

import { Configuration, FlowsApi } from "@goauthentik/api";

// Shows the challenges of a flow as the API gives them, one after the other, and sends back what is typed in.
class FlowExecutor extends HTMLElement {
    api = new FlowsApi(new Configuration({ basePath: `${window.location.origin}/api/v3` }));
    slug = this.getAttribute("slug") ?? "";
    query = window.location.search.slice(1);

    async connectedCallback() {
        this.show(await this.api.flowsExecutorGet({ flowSlug: this.slug, query: this.query }));
    }

    // The schema knows one question only; the one for the name is seen by its component.
    async show(challenge: any) {
        if (challenge.component === "xak-flow-redirect") {
            window.location.assign(challenge.to);
            return;
        }
        const language = navigator.language.startsWith("de") ? "de" : "en";
        const words = language === "de" ? await import("../locales/de.js") : await import("../locales/en.js");
        const { default: help } = await import("~docs/flow/index.md");
        const input = challenge.component === "ak-stage-identification"
            ? '<input name="uidField" autocomplete="username">'
            : '<input name="password" type="password" autocomplete="current-password">';
        this.innerHTML = `<main>
            <img alt="" width="64" src="${new URL(background, import.meta.url).href}">
            <h1></h1>
            <p>${words.default.title}</p>
            <p role="alert"></p>
            <form>${input}<button>${words.default.submit}</button></form>
            <footer>authentik ${import.meta.env.AK_VERSION} (${import.meta.env.AK_VERSION_FAMILY})</footer>
        </main>`;
        const title = (challenge.flowInfo ?? challenge.flow_info)?.title;
        this.querySelector("h1")!.textContent = title ?? challenge.component ?? "";
        const errors: any[] = Object.values(challenge.responseErrors ?? challenge.response_errors ?? {}).flat();
        this.querySelector("[role=alert]")!.textContent = errors.map((it) => it.string).join(" ");
        this.dataset.help = help;
        const form = this.querySelector("form")!;
        form.querySelector("input")!.focus();
        form.addEventListener("submit", (event) => {
            event.preventDefault();
            this.solve(challenge.component, form.querySelector("input")!);
        });
    }

    async solve(component: string, input: HTMLInputElement) {
        const name = input.name === "uidField" ? "uid_field" : input.name;
        const csrf = document.cookie.match(/(?:^|; )authentik_csrf=([^;]*)/)?.[1] ?? "";
        // the answer to what is right redirects to the next challenge
        const address = `/api/v3/flows/executor/${this.slug}/?${new URLSearchParams({ query: this.query })}`;
        const answer = await fetch(address, {
            method: "POST",
            headers: { "Content-Type": "application/json", "X-authentik-CSRF": csrf },
            body: JSON.stringify({ component, [name]: input.value }),
        });
        this.show(await answer.json());
    }
}

customElements.define("ak-flow-executor", FlowExecutor);
