"""What the page runs in the browser: names for pictures, and files that come from outside."""

import json

from hf_denoise.page.samples import EXAMPLES

# Gradio leaves the alternative text of these images empty.
ALTERNATIVE_TEXTS = {
    "examples": [f"Example: {example.caption}, noisy" for example in EXAMPLES],
    "originals": [f"Example: {example.caption}, clean" for example in EXAMPLES],
    "removed": ["What was taken away, amplified around grey"],
    "difference": ["Difference between the result and the clean reference, amplified"],
    "clean": ["The clean picture"],
    "webcam": ["Picture of the camera"],
    "protected": ["The picture in grey, blue where it is protected"],
    "curves": ["Share of a defect that is kept over its contrast, a curve for each kind"],
    "map": ["The picture in grey, red where a defect must be stronger to survive"],
}
# For `js=` of an upload, whose first input is the file: when it was asked for, or -1 where another was given since.
LAST_GIVEN = """(file, ...others) => {
    const last = window.lastGiven;
    const is_last = !last || (file?.orig_name === last.name && file?.size === last.size);
    return [file, ...others.slice(0, -1), is_last ? performance.now() : -1];
}"""
# What is dropped or pasted where no field takes it goes to a hidden field, which is emptied after each use: the field
# that is seen takes no second file before the first is cleared.
SCRIPT = f"""() => {{
    const texts = {json.dumps(ALTERNATIVE_TEXTS)};
    const describe = () => Object.entries(texts).forEach(([id, alts]) =>
        document.querySelectorAll(`#${{id}} img`).forEach((img, index) => {{
            if (alts[index] && img.alt !== alts[index]) img.alt = alts[index];
        }}));
    new MutationObserver(describe).observe(document.body, {{childList: true, subtree: true}});
    describe();

    // Of each tab: the field that is seen, and the one that takes what is dropped elsewhere.
    const fields = [["#picture", "#intake"], ["#many", "#many"], ["#original", "#original-intake"]];
    const seen = () => fields.find(([field]) => document.querySelector(field)?.offsetParent);
    const put = (where, files) => {{
        const input = document.querySelector(`${{where}} input[type=file]`);
        if (!input || !files.length) return false;
        const transfer = new DataTransfer();
        [...files].forEach((file) => transfer.items.add(file));
        input.files = transfer.files;
        input.dispatchEvent(new Event("change", {{bubbles: true}}));
        return true;
    }};
    // Uploads end in any order: only the file that was given last takes the place of the picture, see `LAST_GIVEN`.
    const note = (file) => {{ window.lastGiven = file ? {{name: file.name, size: file.size}} : {{}}; }};
    document.addEventListener("change", ({{target}}) => {{
        if (target.matches("#picture input[type=file], #intake input[type=file]")) note(target.files[0]);
    }}, true);
    document.addEventListener("click", ({{target}}) => {{
        if (target.closest("#examples button, #picture [aria-label=Clear]")) note(null);
    }}, true);
    const withdraw = () => document.getElementById("offer")?.remove();
    const offer = (files) => {{
        withdraw();
        const [line, text, all, close] = ["div", "span", "button", "button"].map((tag) => document.createElement(tag));
        Object.assign(line, {{id: "offer", role: "status"}});
        text.textContent = `Only the first of ${{files.length}} files was taken.`;
        all.textContent = "Denoise all in Many images";
        close.textContent = "Close";
        close.onclick = withdraw;
        all.onclick = () => {{
            withdraw();
            [...document.querySelectorAll("[role=tab]")].find((tab) => tab.innerText === "Many images")?.click();
            let tries = 50; // the tab is made when it is opened first
            const wait = setInterval(() => {{ if (put("#many", files) || !tries--) clearInterval(wait); }}, 100);
        }};
        line.append(text, all, close);
        document.querySelector(".gradio-container").append(line);
    }};
    const take = (list) => {{
        const [field, way] = seen() ?? [], files = [...list];
        if (!field || !files.length) return;
        withdraw();
        put(way, field === "#many" ? files : files.slice(0, 1));
        if (field !== "#many" && files.length > 1) offer(files);
    }};
    document.addEventListener("paste", (event) => take(event.clipboardData.files));
    const dragged = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const mark = (on) => document.body.classList.toggle("file-dragged", on);
    document.addEventListener("dragover", (event) => {{ event.preventDefault(); mark(dragged(event)); }});
    document.addEventListener("dragleave", (event) => {{ if (!event.relatedTarget) mark(false); }});
    document.addEventListener("drop", (event) => {{
        mark(false);
        if (event.target.closest?.("#picture")) note(event.dataTransfer.files[0]);
        // A field for one file would leave out the others in silence.
        if (event.dataTransfer.files.length < 2 || !event.target.closest?.("#picture, #original")) return;
        event.preventDefault();
        event.stopPropagation();
        take(event.dataTransfer.files);
    }}, true);
    document.addEventListener("drop", (event) => {{
        if (event.defaultPrevented) return;
        event.preventDefault(); // or the browser would leave the page for the picture
        take(event.dataTransfer.files);
    }});
}}"""
