// Begins Swagger UI with this server's document. What is tried out is sent with an API key, or with the cookie of the
// dashboard and the CSRF token of that sign-in. Nothing is kept, and nothing is asked of another host.
"use strict";
(async () => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => {
    const chosen = root.dataset.theme;
    root.classList.toggle("dark-mode", chosen ? chosen === "dark" : dark.matches);
  };
  paint();
  dark.addEventListener("change", paint);

  const csrf = document.querySelector('meta[name="csrf"]')?.content;
  const spec = await (await fetch("openapi.json")).json();
  // Where the reader is: the server may be known to itself by another name.
  spec.servers = [{ url: new URL("../..", location.href).href.replace(/\/$/, "") }];
  // A browser sends the cookie by itself, and the token is below: there is only the key to ask for.
  spec.components.securitySchemes = { key: spec.components.securitySchemes.key };
  for (const operations of Object.values(spec.paths)) {
    for (const operation of Object.values(operations)) operation.security = [{ key: [] }];
  }

  window.SwaggerUIBundle({
    spec,
    dom_id: "#api",
    deepLinking: true,
    filter: true,
    docExpansion: "none",
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    validatorUrl: null,
    requestInterceptor: (request) => {
      const names = Object.keys(request.headers).map((name) => name.toLowerCase());
      if (csrf && !names.includes("authorization")) request.headers["X-CSRF-Token"] = csrf;
      return request;
    },
  });
})();
