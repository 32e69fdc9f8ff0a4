// Light or dark, before anything is drawn: a plain script, so that no page flashes in the wrong colours.
// `wallcastTheme.choose("system" | "light" | "dark" | "evening")` changes and keeps it.
(function () {
  var KEY = "wallcast.theme";
  var EVENING = 20;
  var MORNING = 7;
  var system = window.matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    try {
      return localStorage.getItem(KEY) || "system";
    } catch (error) {
      return "system";
    }
  }

  function isDark() {
    var choice = chosen();
    if (choice === "evening") {
      var hour = new Date().getHours();
      return hour >= EVENING || hour < MORNING;
    }
    return choice === "system" ? system.matches : choice === "dark";
  }

  function apply() {
    var theme = isDark() ? "dark" : "light";
    if (document.documentElement.getAttribute("data-theme") === theme) return;
    document.documentElement.setAttribute("data-theme", theme);
    var bar = document.querySelector("meta[name=theme-color]");
    if (bar) bar.content = theme === "dark" ? "#0f1312" : "#f3f2ee";
  }

  window.wallcastTheme = {
    chosen: chosen,
    choose: function (choice) {
      try {
        localStorage.setItem(KEY, choice);
      } catch (error) {
        // It holds until the page is left.
      }
      apply();
    },
  };
  system.addListener(apply);
  setInterval(apply, 30000);
  apply();
})();
