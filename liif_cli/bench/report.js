"use strict";
// Magnifies crops under the pointer, and shows them large in a viewer that flips between methods.
(() => {
  const MAGNIFIED = "magnify";
  const root = document.documentElement;

  const groups = Array.from(document.querySelectorAll(".crop"), (crop) => ({
    id: crop.id,
    title: crop.querySelector("h4").textContent,
    shots: Array.from(crop.querySelectorAll(".shot"))
      .map((shot) => ({
        id: shot.id,
        link: shot.querySelector(".frame"),
        source: shot.querySelector("img")?.src,
        label: shot.querySelector(".label").textContent,
        value: shot.querySelector(".value").firstChild.textContent,
      }))
      .filter((shot) => shot.source),
  })).filter((group) => group.shots.length);

  // every crop of a place is magnified about the same point
  for (const row of document.querySelectorAll(".shots")) {
    row.addEventListener("pointermove", (event) => {
      const frame = event.target.closest(".frame");
      const magnify = frame !== null && event.pointerType !== "touch";
      row.classList.toggle(MAGNIFIED, magnify);
      if (!magnify) return;
      const box = frame.getBoundingClientRect();
      row.style.setProperty("--x", `${(100 * (event.clientX - box.left)) / box.width}%`);
      row.style.setProperty("--y", `${(100 * (event.clientY - box.top)) / box.height}%`);
    });
    row.addEventListener("pointerleave", () => row.classList.remove(MAGNIFIED));
  }

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  const heading = element("h2");
  const close = element("button", { type: "button", textContent: "Close" });
  const picture = element("img", { alt: "" });
  const line = element("p", { ariaLive: "polite" });
  const choices = element("menu");
  const keys = element("p", {
    className: "keys",
    textContent: [
      "← → or a click: next method",
      "H held: HR",
      "1 to 9: a method",
      "↑ ↓: next crop",
      "Esc: close",
    ].join(" · "),
  });
  const viewer = element(
    "dialog",
    { className: "viewer" },
    element("header", {}, heading, close),
    picture,
    element("footer", {}, line, choices, keys),
  );
  viewer.setAttribute("aria-label", "Crop viewer");

  let group = 0;
  let shot = 0;

  function paint(index) {
    const { source, label, value } = groups[group].shots[index];
    picture.src = source;
    picture.alt = `${groups[group].title}: ${label}`;
    line.textContent = `${label}: ${value}`;
    Array.from(choices.querySelectorAll("button"), (button, number) =>
      button.setAttribute("aria-pressed", String(number === index)),
    );
  }

  function show(newGroup, newShot) {
    group = (newGroup + groups.length) % groups.length;
    const { title, shots } = groups[group];
    shot = (newShot + shots.length) % shots.length;
    heading.textContent = title;
    choices.replaceChildren(
      ...shots.map(({ label }, number) =>
        element(
          "li",
          { style: "display: contents" },
          element("button", {
            type: "button",
            textContent: label,
            onclick: () => show(group, number),
          }),
        ),
      ),
    );
    paint(shot);
    viewer.dataset.shot = shots[shot].id;
    history.replaceState(null, "", `#${shots[shot].id}`);
    if (!viewer.open) viewer.showModal();
  }

  // "#crop-2" and "#crop-2-1" open the viewer
  function followFragment() {
    const wanted = decodeURIComponent(location.hash.slice(1));
    for (const [number, { id, shots }] of groups.entries()) {
      const index = wanted === id ? 0 : shots.findIndex((entry) => entry.id === wanted);
      if (index >= 0) return show(number, index);
    }
  }

  picture.addEventListener("click", () => show(group, shot + 1));
  close.addEventListener("click", () => viewer.close());
  viewer.addEventListener("close", () => {
    history.replaceState(null, "", `#${groups[group].id}`);
    groups[group].shots[shot].link.focus();
  });
  viewer.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const digit = /^[1-9]$/.test(event.key) ? Number(event.key) : 0;
    if (event.key === "ArrowRight") show(group, shot + 1);
    else if (event.key === "ArrowLeft") show(group, shot - 1);
    else if (event.key === "ArrowDown") show(group + 1, shot);
    else if (event.key === "ArrowUp") show(group - 1, shot);
    else if (event.key.toLowerCase() === "h") paint(0);
    else if (digit && digit <= groups[group].shots.length) show(group, digit - 1);
    else return;
    event.preventDefault();
  });
  viewer.addEventListener("keyup", (event) => {
    if (event.key.toLowerCase() === "h") paint(shot);
  });

  if (groups.length) {
    document.body.append(viewer);
    for (const [number, { shots }] of groups.entries()) {
      for (const [index, { link }] of shots.entries()) {
        link.addEventListener("click", (event) => {
          event.preventDefault();
          show(number, index);
        });
      }
    }
    window.addEventListener("hashchange", followFragment);
  }

  // the section being read is marked in the navigation
  const links = new Map(
    Array.from(document.querySelectorAll("nav a"), (link) => [link.hash.slice(1), link]),
  );
  const sections = Array.from(links.keys(), (id) => document.getElementById(id));
  function mark() {
    const passed = sections.filter((section) => section.getBoundingClientRect().top < 120);
    const current = (passed.at(-1) ?? sections[0]).id;
    for (const [id, link] of links) {
      if (id === current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }
  document.addEventListener("scroll", mark, { passive: true });
  mark();

  // what is folded away on the screen is not on paper
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });

  root.dataset.ready = String(groups.length);
  if (groups.length) followFragment();
})();
