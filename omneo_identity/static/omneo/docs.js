"use strict";

SwaggerUIBundle({
    url: document.getElementById("swagger-ui").dataset.schema,
    dom_id: "#swagger-ui",
    deepLinking: true,
    presets: [SwaggerUIBundle.presets.apis],
    // Without the standalone layout, whose badge would send the schema's address to a public validator.
    layout: "BaseLayout",
});
