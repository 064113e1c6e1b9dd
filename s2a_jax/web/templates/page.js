// Everything that needs no server: names of chosen files, opacities, downloads.
window.s2a = {
  limits: { files: {{ most_files }}, megabytes: {{ most_mb }} },

  chosen() {
    const input = document.querySelector(".s2a-drop input");
    return input ? [...input.files] : [];
  },

  // Sends the chosen files for one request; the server deletes them when it has read them.
  async send() {
    const files = s2a.chosen();
    const large = files.find((file) => file.size > s2a.limits.megabytes * 1e6);
    if (large) throw new Error(`${large.name} has more than ${s2a.limits.megabytes} MB.`);
    if (files.length > s2a.limits.files)
      throw new Error(`${files.length} files at once, at most ${s2a.limits.files} are taken.`);
    const sent = [];
    for (const file of files) {
      const form = new FormData();
      // Two users may send the same file at once: each gets a path of its own.
      form.append("files", file, `${s2a.id()}-${file.name}`);
      const answer = await fetch("gradio_api/upload", { method: "POST", body: form });
      if (!answer.ok) throw new Error(`${file.name} was not taken: ${await answer.text()}`);
      const [path] = await answer.json();
      sent.push({ path, orig_name: file.name });
    }
    return sent;
  },

  id() {  // randomUUID exists on secure pages only, which http://192.168.0.2 is not
    return [...crypto.getRandomValues(new Uint8Array(16))]
      .map((byte) => byte.toString(16).padStart(2, "0")).join("");
  },
};

document.addEventListener("change", (event) => {
  if (!event.target.matches(".s2a-drop input")) return;
  const names = s2a.chosen().map((file) => file.name);
  const shown = names.slice(0, 5).join(", ") + (names.length > 5 ? ` and ${names.length - 5} more` : "");
  document.querySelector(".s2a-names").textContent = shown;
});

document.addEventListener("input", (event) => {
  const slider = event.target;
  if (!slider.matches(".s2a-slider input")) return;
  const layer = slider.closest(".s2a-view").querySelector(`.s2a-layer[data-layer="${slider.dataset.layer}"]`);
  layer.style.opacity = slider.value / 100;
});

document.addEventListener("click", (event) => {
  const button = event.target.closest(".s2a-download");
  if (!button) return;
  const bytes = Uint8Array.from(atob(button.dataset.content), (letter) => letter.charCodeAt(0));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type: button.dataset.kind }));
  link.download = button.dataset.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});
