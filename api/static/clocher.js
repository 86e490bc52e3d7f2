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
  // Back brings what was typed, but not what followed from it.
  window.addEventListener("pageshow", function () {
    if (performance.getEntriesByType("navigation")[0].type !== "back_forward") { return; }
    document.querySelectorAll("main form").forEach(function (form) { form.dispatchEvent(new Event("change")); });
  });
  document.addEventListener("htmx:load", function (event) { show(event.target); });

  function alike(one, other) {
    return one.nodeType === other.nodeType && one.nodeName === other.nodeName && (one.id || "") === (other.id || "");
  }

  // Makes `old` say what `fresh` says, in place; what has an id is the same thing, wherever it stands now.
  function become(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) { old.data = fresh.data; }
      return;
    }
    Array.from(old.attributes).forEach(function (one) {
      if (!fresh.hasAttribute(one.name) && one.name !== "open") { old.removeAttribute(one.name); }
    });
    Array.from(fresh.attributes).forEach(function (one) {
      if (old.getAttribute(one.name) !== one.value) { old.setAttribute(one.name, one.value); }
    });
    var at = old.firstChild;
    function pass() { var one = at; at = at.nextSibling; return one; }
    Array.from(fresh.childNodes).forEach(function (node) {
      var known = at;
      while (node.id && known && !alike(known, node)) { known = known.nextSibling; }
      while (node.id && known && at !== known) { pass().remove(); }
      if (at && alike(at, node)) { become(pass(), node); } else { old.insertBefore(node, at); }
    });
    while (at) { pass().remove(); }
  }

  // hx-swap="steady": a part that is polled neither flickers nor loses a click, a selection, an open detail or the keyboard.
  if (window.htmx) {
    window.htmx.defineExtension("steady", {
      handleSwap: function (style, target, fragment) {
        if (style !== "steady" || !fragment.firstElementChild) { return false; }
        var held = target.contains(document.activeElement);
        become(target, fragment.firstElementChild);
        if (held && !target.contains(document.activeElement)) {
          target.tabIndex = -1;
          target.focus({ preventScroll: true });
        }
        return [target];
      }
    });
  }
})();
