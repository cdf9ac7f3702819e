import { html } from "hono/html";
import type { Page } from "../page.ts";

/** The page with the settings in force. */
export const settingsPage: Page = {
  name: "settings",
  title: "Settings",
  render: ({ settings }) =>
    html`
      <div class="page-head">
        <h1>Settings</h1>
        <p
          class="quiet">What is in force, and where each comes from. Secrets are never shown.</p>
      </div>
      <section class="card flush">${settings.length === 0
        ? html`<p class="empty">Everything is as it is by default.</p>`
        : html`
          <div class="scroll" tabindex="0" role="region" aria-label="Settings">
            <table class="settings">
              <thead>
                <tr>
                  <th scope="col">Setting</th>
                  <th scope="col">Value</th>
                  <th scope="col">From</th>
                </tr>
              </thead>
              <tbody>${settings.map(({ name, value, source, origin }) =>
                html`
                  <tr>
                    <th scope="row" class="mono">${name}</th>
                    <td class="mono value">${JSON.stringify(value) ?? ""}</td>
                    <td>${source}${origin === source ? "" : html`
                      <span class="quiet mono">${origin}</span>
                    `}</td>
                  </tr>
                `
              )}</tbody>
            </table>
          </div>
        `}</section>
    `,
};
