"use strict";
// Draws each chart from the JSON beside it. What lies in a closed <details> is drawn when that is opened.
(() => {
  const CONFIG = { responsive: true, displayModeBar: false };

  function draw(plot) {
    if (plot.dataset.drawn) return;
    plot.dataset.drawn = "yes";
    const figure = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
    Plotly.newPlot(plot, figure.data, figure.layout, CONFIG);
  }

  function drawOpen(root) {
    for (const plot of root.querySelectorAll(".plot")) {
      if (!plot.closest("details:not([open])")) draw(plot);
    }
  }

  // Paper may be narrower than the window: a view box lets the style sheet shrink what is drawn.
  function shrinkable(on) {
    for (const svg of document.querySelectorAll(".plot .main-svg")) {
      const [width, height] = ["width", "height"].map((name) => svg.getAttribute(name));
      svg.style.maxWidth = on ? `${width}px` : "";
      if (on) svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      else svg.removeAttribute("viewBox");
    }
  }

  document.addEventListener("toggle", (event) => event.target.open && drawOpen(event.target), true);
  window.addEventListener("beforeprint", () => shrinkable(true));
  window.addEventListener("afterprint", () => shrinkable(false));
  drawOpen(document);
})();
