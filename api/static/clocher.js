// What makes the pages more comfortable; each of them works without it. No state, no requests.
(function () {
  "use strict";

  function show(root) {
    root.querySelectorAll("[data-copy][hidden]").forEach(function (button) {
      button.hidden = !navigator.clipboard;
    });
  }

  // Copy buttons: what stands in the element that data-copy names.
  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-copy]");
    if (button) {
      navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim()).then(function () {
        var before = Array.from(button.childNodes);
        button.setAttribute("aria-live", "polite");
        button.replaceChildren(button.dataset.done);
        window.setTimeout(function () { button.replaceChildren.apply(button, before); }, 2000);
      });
    }
    // The menus close when one clicks beside them.
    document.querySelectorAll(".top details[open]").forEach(function (menu) {
      if (!menu.contains(event.target)) { menu.open = false; }
    });
  });

  document.addEventListener("keydown", function (event) {
    if (event.key !== "Escape") { return; }
    document.querySelectorAll(".top details[open]").forEach(function (menu) {
      var inside = menu.contains(document.activeElement);
      menu.open = false;
      if (inside) { menu.querySelector("summary").focus(); }
    });
  });

  // After a refused form, the keyboard and the screen reader stand at what is wrong.
  document.addEventListener("DOMContentLoaded", function () {
    show(document);
    var errors = document.getElementById("errors");
    if (errors) { errors.focus(); }
    // On a phone the menu at the side is one line: show where in it one is.
    var place = document.querySelector(".side [aria-current]");
    var line = place && place.closest(".side");
    if (line) { line.scrollLeft = place.offsetLeft - (line.clientWidth - place.offsetWidth) / 2; }
  });
  document.addEventListener("htmx:load", function (event) { show(event.target); });
})();
