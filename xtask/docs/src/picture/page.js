"use strict";
const svg = document.querySelector("svg");
const cards = [...svg.querySelectorAll(".card")];
const words = cards.map((card) => card.querySelector("title").textContent.toLowerCase());
const paths = [...svg.querySelectorAll(".links path")].map((path) => [path, ...path.dataset.l.split(" ").map(Number)]);
const linksOf = cards.map(() => []);
for (const link of paths) {
    linksOf[link[1]].push(link);
    linksOf[link[2]].push(link);
}
const search = document.querySelector("input");
const found = document.getElementById("found");
const summary = found.innerHTML;
const whole = svg.getAttribute("viewBox").split(" ").map(Number);
let box = [...whole];

function show() {
    svg.setAttribute("viewBox", box.join(" "));
    const scale = Math.min(svg.clientWidth / box[2], svg.clientHeight / box[3]);
    // letters of less than six pixels are not read
    svg.classList.toggle("far", scale < 0.46);
    svg.style.setProperty("--text", `${11 / scale}px`);
    svg.style.setProperty("--dot", `${2.2 / scale}px`);
}
function at(event) {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [place.x, place.y];
}
function zoom([x, y], factor) {
    const width = Math.min(Math.max(box[2] * factor, 120), whole[2] * 2);
    factor = width / box[2];
    box = [x - (x - box[0]) * factor, y - (y - box[1]) * factor, width, box[3] * factor];
    show();
}
let marked = [];
function mark(numbers, links) {
    for (const [node, name] of marked) {
        node.classList.remove(name);
    }
    marked = [...numbers].map((number) => [cards[number], "on"]);
    marked.push(...links);
    for (const [node, name] of marked) {
        node.classList.add(name);
    }
    svg.classList.toggle("some", marked.length > 0);
}
function point(number) {
    const links = linksOf[number];
    const ends = new Set([number, ...links.flatMap(([, from, to]) => [from, to])]);
    mark(ends, links.map(([path, from]) => [path, from === number ? "out" : "in"]));
}
function matches() {
    const text = search.value.trim().toLowerCase();
    return text ? cards.keys().filter((number) => words[number].includes(text)).toArray() : [];
}
function look() {
    const numbers = matches();
    mark(numbers, []);
    if (search.value.trim()) {
        found.textContent = `${numbers.length} found`;
        svg.classList.add("some");
    } else {
        found.innerHTML = summary;
    }
}
search.addEventListener("input", look);
search.addEventListener("keydown", (event) => {
    const [number] = matches();
    if (event.key === "Enter" && number !== undefined) {
        const { x, y } = cards[number].querySelector("circle").getBBox();
        const width = Math.min(900, whole[2]);
        const height = width * svg.clientHeight / svg.clientWidth;
        box = [x - width / 3, y - height / 2, width, height];
        show();
    }
});
document.getElementById("all").addEventListener("click", () => {
    box = [...whole];
    search.value = "";
    look();
    show();
});
svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(at(event), Math.exp(Math.sign(event.deltaY) * 0.18));
}, { passive: false });
let held = null;
let moved = false;
svg.addEventListener("pointerdown", (event) => {
    held = at(event);
    moved = false;
});
window.addEventListener("pointerup", () => {
    held = null;
});
svg.addEventListener("pointermove", (event) => {
    if (!held) {
        return;
    }
    const [x, y] = at(event);
    // a hand that trembles still clicks
    moved ||= Math.hypot(x - held[0], y - held[1]) * svg.clientWidth / box[2] > 4;
    if (moved) {
        box[0] -= x - held[0];
        box[1] -= y - held[1];
        show();
    }
});
svg.addEventListener("click", (event) => {
    if (moved) {
        event.preventDefault();
    }
}, true);
svg.addEventListener("dragstart", (event) => event.preventDefault());
cards.forEach((card, number) => {
    card.addEventListener("pointerenter", () => !held && point(number));
    card.addEventListener("pointerleave", () => !held && look());
    card.addEventListener("focus", () => point(number));
});
// the most linked ones keep their names from afar
const degree = cards.map((_, number) => linksOf[number].length);
const most = [...degree].sort((a, b) => b - a)[Math.min(20, degree.length - 1)];
degree.forEach((count, number) => cards[number].classList.toggle("hub", count > most));
window.addEventListener("resize", show);
show();
