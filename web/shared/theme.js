// Sets the colour theme. A plain script in the document's head, because a module would run after the first
// paint and the page would flash in the wrong colours.
//
// `wallcastTheme.chosen()` returns the stored choice; `wallcastTheme.choose(CHOICE)` applies and stores one:
// "system", "light", "dark", or "evening", which is dark from 20:00 to 7:00.
(function () {
  var KEY = "wallcast.theme";
  var EVENING_HOUR = 20;
  var MORNING_HOUR = 7;
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
      return hour >= EVENING_HOUR || hour < MORNING_HOUR;
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
        // Without storage the choice is lost: the next `apply` uses the default again.
      }
      apply();
    },
  };
  system.addListener(apply);
  setInterval(apply, 30000);
  apply();
})();
