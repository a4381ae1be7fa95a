"""What the figures of the page look like: templates and styles of lists, tables and sentences, see `components`."""

SCORES = """${(value || []).some(({said}) => said) ? `<p>${
    value.map(({said}) => said).filter((said) => said).join(". ")}.</p>` : ""}
<dl>${(value || []).map(({name, unit, before, after, better, about}) => {
    const figure = (x) => typeof x === "number" ? x.toPrecision(3) : x;
    const from = before === null ? "" : `${figure(before)} → `;
    const [was, is] = [before, after].map((x) => x === "∞" ? Infinity : x);
    const up = is > was, changed = better && figure(before) !== figure(after) && (up || is < was);
    const good = up === (better === "higher");
    const [look, word] = good ? ["good", "better"] : ["bad", "worse"];
    const sign = `<span class="${look}" role="img" aria-label="${word}" title="${word}">${up ? "▲" : "▼"}</span>`;
    return `<div title="${about || ""}"><dt>${name}</dt>
        <dd>${from}<strong>${figure(after)}</strong> ${unit} ${changed ? sign : ""}</dd></div>`;
}).join("")}</dl>"""
SCORES_STYLE = """
p { margin: 0 0 10px; font-size: 16px; line-height: 1.4; text-wrap: pretty; }
dl { display: flex; flex-wrap: wrap; gap: 8px 16px; margin: 0; }
div[title]:not([title=""]) { cursor: help; }
dt { font-size: 13px; color: var(--body-text-color-subdued); }
div[title]:not([title=""]) dt { text-decoration: underline dotted; text-underline-offset: 3px; }
dd { margin: 0; font-size: 15px; font-variant-numeric: tabular-nums; white-space: nowrap; }
.good, .bad { font-size: 11px; }
.good { color: color-mix(in srgb, #16a34a 70%, var(--body-text-color)); }
.bad { color: color-mix(in srgb, #ea580c 70%, var(--body-text-color)); }
"""

VERDICT = """${value ? `<p class="said">${value}</p>` : `<p class="none">The limits in this picture come here.</p>`}"""
VERDICT_STYLE = """
p { margin: 0; min-height: 56px; display: flex; align-items: center; }
.said { font-size: 20px; line-height: 1.35; font-weight: 600; text-wrap: pretty; }
.none { color: var(--body-text-color-subdued); justify-content: center; text-align: center; padding: 8px 16px;
    border: 1px dashed var(--border-color-primary); border-radius: var(--radius-sm); }
"""

LIMITS = """${value && value.length ? (() => {
    const rated = value.some((row) => "a90/95" in row);
    const missing = {};
    value.forEach((row) => row["a90/95 note"] && (missing[row["a90/95 note"]] ??= []).push(row.kind));
    const notes = Object.entries(missing).map(([note, kinds]) =>
        `<p>No a90/95 for ${kinds.length === value.length ? "any kind" : kinds.join(", ")}: ${note}.</p>`);
    if (rated) notes.unshift(`<p>a90/95: from this contrast on at least half is kept, with a probability of 90 %
        and a confidence of 95 %.</p>`);
    return `<table><thead>
        <tr><th>Defect</th><th>80 % kept from</th><th>Half kept from</th>
            ${rated ? "<th>a90/95</th>" : ""}<th>Tried</th></tr>
    </thead><tbody>${value.map((row) => `<tr><th scope="row">${row.kind}</th>
        <td>${row["keeps 80 % from"]}</td><td>${row["keeps 50 % from"]}</td>
        ${rated ? `<td>${row["a90/95"] ?? "none"}</td>` : ""}<td class="tried">${row.probes}</td></tr>`).join("")}
    </tbody></table>${notes.join("")}`;
})() : ""}"""
LIMITS_STYLE = """
table, tr { border: 0 !important; } /* Gradio frames the tables of texts */
table { width: 100%; border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
table th, table td { padding: 5px 4px; text-align: right; border: 0 solid var(--border-color-primary);
    border-bottom-width: 1px; }
table thead th { font-size: 13px; font-weight: 400; color: var(--body-text-color-subdued); vertical-align: bottom; }
table tbody th { font-weight: 500; }
table tbody th, table td { white-space: nowrap; }
table th:first-child { text-align: left; padding-left: 0; }
table .tried { color: var(--body-text-color-subdued); }
p { font-size: 13px; color: var(--body-text-color-subdued); margin: 6px 0 0; }
"""

STRUCTURE = """${typeof value === "number" ? `<p>Structure removed: <strong>${value.toFixed(3)}</strong> of 1:
    lines and shapes in what was taken away, at the place where they are most. <b>0 is no proof that nothing was
    lost:</b> a faint defect that goes as a whole looks like noise, and is not counted. The limits above say what
    would have gone.</p>` : ""}"""
STRUCTURE_STYLE = "p { font-size: 14px; margin: 0; }"

FACTS = """${value ? (() => {
    const safe = (text) => String(text ?? "").replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
    return `<div class="facts"><img src="${value.thumbnail}" alt="The picture that was given, small">
        <p><b>${safe(value.name)}</b><span>${value.size}</span><span>${safe(value.kind)}</span>
        <span>${value.noise}</span>${value.link ? `<span><a href="${safe(value.link)}" title="Opens the page with this
        picture, as long as it is on the server: about an hour after its last use">link</a></span>` : ""}</p></div>`;
})() : ""}"""
FACTS_STYLE = """
.facts { display: flex; gap: 12px; align-items: center; }
img { width: 96px; height: 64px; object-fit: cover; margin: 0; border-radius: var(--radius-sm); flex: none; }
p { margin: 0; font-size: 13px; line-height: 1.45; color: var(--body-text-color-subdued); min-width: 0;
    font-variant-numeric: tabular-nums; }
b { display: block; font-weight: 600; color: var(--body-text-color); overflow: hidden; text-overflow: ellipsis;
    white-space: nowrap; }
a { padding: 0; margin: 0; }
span:not(:last-child)::after { content: " · "; }
"""

OPENED = """${value ? (() => {
    const safe = (text) => String(text ?? "").replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
    return `<p><b>${safe(value.name)}</b><span>${safe(value.noise)}</span>${value.link ? `<a href="${safe(value.link)}"
        target="_blank" title="Opens the page with this picture, where all can be set">adjust it</a>` : ""}</p>`;
})() : ""}"""
OPENED_STYLE = """
p { display: flex; flex-wrap: wrap; gap: 2px 14px; margin: 0; font-size: 14px; font-variant-numeric: tabular-nums;
    color: var(--body-text-color-subdued); }
b { font-weight: 600; color: var(--body-text-color); overflow-wrap: anywhere; }
"""
