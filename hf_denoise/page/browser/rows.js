// A row for each picture of "Many images". Only rows that changed are made anew, so that what has the focus keeps it.
const list = element.querySelector("tbody"), none = element.querySelector(".none"), table = element.querySelector("table");
const kept = [];

function cell(tag, name, text = "") {
    const made = document.createElement(tag);
    Object.assign(made, {className: name, textContent: text});
    return made;
}

function fill(line, row, index) {
    const pair = cell("td", "pair"), name = cell("th", "name"), noise = cell("td", "noise"), state = cell("td", "state");
    name.scope = "row";
    line.className = row.state;
    if (row.thumbnails) {
        const button = cell("button", "");
        Object.assign(button, {type: "button", title: "Compare"});
        button.setAttribute("aria-label", `Compare before and after: ${row.name}`);
        row.thumbnails.forEach((source, after) => button.append(
            Object.assign(document.createElement("img"), {src: source, alt: after ? "After" : "Before", loading: "lazy"})));
        button.onclick = () => trigger("look", {row: index});
        pair.append(button);
    }
    name.textContent = row.name;
    if (row.before !== null) noise.textContent = `${row.before.toFixed(1)} → ${row.after.toFixed(1)}`;
    state.textContent = row.state === "failed" ? `Failed: ${row.message}` : row.state === "waiting" ? "Waiting" : "";
    line.replaceChildren(pair, name, noise, state);
}

function update() {
    const rows = Array.isArray(props.value) ? props.value : [];
    while (list.rows.length > rows.length) list.deleteRow(-1);
    kept.length = Math.min(kept.length, rows.length);
    rows.forEach((row, index) => {
        const now = JSON.stringify([row.name, row.state, row.message, row.before, row.after]);
        if (kept[index] === now) return;
        kept[index] = now;
        fill(list.rows[index] ?? list.insertRow(), row, index);
    });
    table.hidden = !rows.length;
    none.hidden = !!rows.length;
}
watch("value", update);
update();
