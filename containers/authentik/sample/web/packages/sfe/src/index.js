import { fromByteArray } from "base64-js";

// What a passkey would send back, encoded as the server wants it.
function encoded(text) {
    return fromByteArray(new TextEncoder().encode(text)).replace(/=+$/, "");
}

const container = document.getElementById("flow-sfe-container");
container.textContent = "Challenge " + encoded("sample");
