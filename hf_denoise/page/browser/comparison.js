// Before | after of one picture, at any zoom. All lengths on the screen are in its (CSS) pixels, all places in the picture
// in its own. `view`: how large a pixel of the picture is on the screen, and where its upper left corner lies there.
const frame = element.querySelector(".frame"), line = element.querySelector(".line");
const layers = [...element.querySelectorAll(".layer")], overview = element.querySelector(".overview");
const [zoomSaid, sizeSaid] = ["output", ".size"].map((what) => element.querySelector(what));
const MOST = 16, MAP_SIDE = 128, OPEN_WHOLE_FROM = 0.5, STEP = 1.5;
let shown = null, view = {scale: 0, x: 0, y: 0}, whole = true, fresh = true, split = 50, asking = 0, scrolled = -1e9;

const clamp = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));
const room = () => ({width: frame.clientWidth, height: frame.clientHeight});
const fit = () => Math.min(room().width / shown.width, room().height / shown.height);
const least = () => Math.min(fit(), 1);
const most = () => Math.max(MOST, fit());

function settle(scale, x, y) {
    const {width, height} = room(), ratio = window.devicePixelRatio || 1;
    const along = (place, length, side) => {
        const free = length - side * scale; // the picture is in the middle, or covers the frame
        return Math.round((free >= 0 ? free / 2 : clamp(place, free, 0)) * ratio) / ratio;
    };
    view = {scale, x: along(x, width, shown.width), y: along(y, height, shown.height)};
    whole = scale <= fit() * 1.001;
    draw();
}

function zoomTo(scale, x = room().width / 2, y = room().height / 2) {
    const next = clamp(scale, least(), most()), grown = next / view.scale;
    settle(next, x - (x - view.x) * grown, y - (y - view.y) * grown);
}

function lookAt(x, y, scale) {
    settle(scale, room().width / 2 - x * scale, room().height / 2 - y * scale);
}

function open() {
    const scale = fit(), {width, height} = room();
    const near = clamp(Math.min(width, height) / (2 * Math.max(shown.span, 1)), scale, 1);
    if (scale >= OPEN_WHOLE_FROM) settle(scale, 0, 0);
    else lookAt(...shown.at, near);
}

function draw() {
    const {scale, x, y} = view;
    element.classList.toggle("pixels", scale >= 2 || Math.abs(scale - 1) < 1e-6);
    frame.classList.toggle("moves", !whole);
    for (const layer of layers) {
        const [image, part] = layer.children, box = part.box;
        const put = (what, left, top, width, height) => Object.assign(what.style, {left: `${x + left * scale}px`,
            top: `${y + top * scale}px`, width: `${width * scale}px`, height: `${height * scale}px`});
        put(image, 0, 0, shown.width, shown.height);
        part.hidden = !box;
        if (box) put(part, box.left, box.top, box.width, box.height);
    }
    zoomSaid.value = `${scale < 0.1 ? (100 * scale).toFixed(1) : Math.round(100 * scale)} %`;
    const whereabouts = seen();
    sizeSaid.textContent = `${shown.width} x ${shown.height} pixels`
        + (whole ? "" : `, shown: ${whereabouts.width} x ${whereabouts.height} from ${whereabouts.left}, ${whereabouts.top}`);
    drawOverview();
    clearTimeout(asking);
    asking = setTimeout(askForPixels, 150);
}

function seen() { // of the picture, in whole pixels
    const {width, height} = room(), {scale, x, y} = view;
    const [left, top] = [[x, shown.width], [y, shown.height]].map(([place, side]) =>
        clamp(Math.floor(-place / scale + 1e-6), 0, side - 1));
    const [right, bottom] = [[x, width, shown.width], [y, height, shown.height]].map(([place, length, side]) =>
        clamp(Math.ceil((length - place) / scale - 1e-6), 1, side));
    return {left, top, width: right - left, height: bottom - top};
}

function drawOverview() {
    overview.hidden = whole;
    const image = layers[1].children[0];
    if (whole || !image.naturalWidth) return;
    const least = Math.min(MAP_SIDE, room().height / 3) / Math.max(shown.width, shown.height);
    const [width, height] = [shown.width * least, shown.height * least].map((side) => Math.max(Math.round(side), 16));
    const pen = overview.getContext("2d"), {left, top, width: across, height: down} = seen();
    Object.assign(overview, {width, height});
    pen.imageSmoothingQuality = "high";
    pen.drawImage(image, 0, 0, width, height);
    pen.lineWidth = 2;
    pen.strokeStyle = "#2563eb";
    const kx = width / shown.width, ky = height / shown.height;
    pen.fillStyle = "#2563eb40";
    pen.fillRect(left * kx, top * ky, across * kx, down * ky);
    pen.strokeRect(left * kx, top * ky, Math.max(across * kx, 3), Math.max(down * ky, 3));
}

// The images are no larger than a preview: of a larger picture the part that is seen closely comes by itself.
function askForPixels() {
    if (!shown || !frame.clientWidth) return;
    const dots = view.scale * (window.devicePixelRatio || 1), finest = shown.preview / Math.max(shown.width, shown.height);
    if (finest >= 1 || dots <= 1.05 * finest) return;
    const box = seen(), kept = layers[0].children[1].box, shrink = Math.max(1, Math.floor(1 / dots + 1e-6));
    const within = kept && !kept.old && kept.shrink <= shrink && kept.left <= box.left && kept.top <= box.top
        && kept.left + kept.width >= box.left + box.width && kept.top + kept.height >= box.top + box.height;
    if (!within) trigger("look", {...box, shrink, version: shown.version});
}

async function takePart(part) {
    if (!part || !shown || part.version !== shown.version) return;
    const images = await Promise.all([part.before, part.after].map(async (source) => {
        const image = new Image();
        image.src = source;
        await image.decode();
        return image;
    }));
    if (part.version !== shown.version) return;
    layers.forEach((layer, index) => {
        const canvas = layer.children[1], image = images[index];
        Object.assign(canvas, {width: image.naturalWidth, height: image.naturalHeight, box: part});
        canvas.getContext("2d").drawImage(image, 0, 0);
    });
    draw();
}

function moveLine(percent) {
    split = clamp(percent, 0, 100);
    element.style.setProperty("--split", `${split}%`);
    line.setAttribute("aria-valuenow", Math.round(split));
}

function update() {
    const next = props.value;
    if (!next) return clear();
    if (next.version === shown?.version) return;
    fresh = fresh || next.key !== shown?.key;
    shown = next;
    const pair = [next.before, next.after];
    layers.forEach((layer, index) => {
        layer.children[0].src = pair[index].url;
        const part = layer.children[1]; // of the same picture in another way the part before stays until the next is there
        part.box = fresh || !part.box ? null : {...part.box, old: true};
    });
    layers[1].children[0].onload = () => view.scale && drawOverview();
    layout();
    askForPixels();
}

function clear() {
    [shown, fresh] = [null, true];
    for (const layer of layers) {
        const [image, part] = layer.children;
        image.removeAttribute("src");
        Object.assign(part, {box: null, hidden: true});
    }
    overview.hidden = true;
}

function layout() {
    if (!shown || !frame.clientWidth) return;
    if (fresh) open();
    else if (whole) settle(fit(), 0, 0);
    else zoomTo(view.scale);
    fresh = false;
}

// By pointer: one moves the picture, or the line where all of it is seen; two pinch.
const pointers = new Map();
let from = null;
const place = (event) => {
    const box = frame.getBoundingClientRect();
    return {x: event.clientX - box.x, y: event.clientY - box.y};
};
const pinch = () => {
    const [a, b] = pointers.values();
    return {x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y)};
};
frame.addEventListener("pointerdown", (event) => {
    if (!shown || event.button > 0) return;
    const kind = event.target.closest(".line") ? "line" : event.target === overview ? "overview" : "picture";
    pointers.set(event.pointerId, place(event));
    frame.setPointerCapture(event.pointerId);
    from = {kind, start: place(event), view: {...view}, moved: false, pinch: pointers.size === 2 ? pinch() : null};
    if (kind === "overview") toOverview(event);
});
frame.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId) || !from) return;
    const now = place(event);
    pointers.set(event.pointerId, now);
    if (pointers.size === 2 && from.pinch) {
        const next = pinch(), scale = clamp(from.view.scale * next.apart / from.pinch.apart, least(), most());
        const grown = scale / from.view.scale;
        settle(scale, next.x - (from.pinch.x - from.view.x) * grown, next.y - (from.pinch.y - from.view.y) * grown);
        return;
    }
    const [dx, dy] = [now.x - from.start.x, now.y - from.start.y];
    from.moved = from.moved || Math.hypot(dx, dy) > 3;
    if (from.kind === "overview") toOverview(event);
    else if (from.kind === "line" || (from.moved && whole)) moveLine(100 * now.x / room().width);
    else if (from.moved) settle(from.view.scale, from.view.x + dx, from.view.y + dy);
});
for (const end of ["pointerup", "pointercancel"]) {
    frame.addEventListener(end, (event) => {
        pointers.delete(event.pointerId);
        const left = [...pointers.values()][0];
        from = left ? {kind: "picture", start: left, view: {...view}, moved: true, pinch: null} : null;
    });
}
frame.addEventListener("touchmove", (event) => { if (event.touches.length > 1) event.preventDefault(); }, {passive: false});

function toOverview(event) {
    const box = overview.getBoundingClientRect();
    lookAt(...[[event.clientX - box.x, box.width, shown.width], [event.clientY - box.y, box.height, shown.height]].map(
        ([at, length, side]) => clamp(at / length, 0, 1) * side), view.scale);
}

function closer(x, y) { // to every pixel and back
    const near = fit() < 0.9 ? 1 : 2 * Math.ceil(fit());
    zoomTo(Math.abs(view.scale - near) < 1e-3 ? fit() : near, x, y);
}
frame.addEventListener("dblclick", (event) => {
    if (shown && !event.target.closest(".line, .overview")) closer(place(event).x, place(event).y);
});
// A page that is being scrolled goes on when the picture comes under the pointer.
window.addEventListener("scroll", () => { scrolled = performance.now(); }, {passive: true, capture: true});
frame.addEventListener("wheel", (event) => {
    if (!shown || performance.now() - scrolled < 250) return;
    if (event.deltaY > 0 && view.scale <= least() * 1.001) return;
    event.preventDefault();
    const {x, y} = place(event), turned = clamp(event.deltaY * (event.deltaMode ? 16 : 1), -120, 120);
    zoomTo(view.scale * Math.exp(-turned * (event.ctrlKey ? 0.01 : 0.003)), x, y);
}, {passive: false});

const actions = {
    in: () => zoomTo(view.scale * STEP), out: () => zoomTo(view.scale / STEP), whole: () => zoomTo(fit()),
    true: () => zoomTo(1), full: () => document.fullscreenElement ? document.exitFullscreen() : element.requestFullscreen(),
};
element.querySelector(".bar").addEventListener("click", (event) => {
    const action = event.target.closest("button")?.dataset.do;
    if (action && shown) actions[action]();
});
element.querySelector("[data-do=full]").hidden = !element.requestFullscreen;
frame.addEventListener("keydown", (event) => {
    if (!shown || event.ctrlKey || event.metaKey || event.altKey) return;
    const turns = {ArrowLeft: -2, ArrowRight: 2, ArrowDown: -2, ArrowUp: 2, PageDown: -20, PageUp: 20, Home: -100, End: 100};
    const moves = {ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
    const keys = {"+": "in", "=": "in", "-": "out", "0": "whole", "1": "true"};
    if (event.key in keys) actions[keys[event.key]]();
    else if (event.target === line && event.key in turns) moveLine(split + turns[event.key]);
    else if (event.target === frame && event.key in moves && !whole) {
        const [dx, dy] = moves[event.key];
        settle(view.scale, view.x + dx * room().width / 8, view.y + dy * room().height / 8);
    } else return;
    event.preventDefault();
});

element.takePart = takePart;
new ResizeObserver(layout).observe(frame);
watch("value", update);
update();
