import { html, raw } from "hono/html";
import type { Peer } from "../peers.ts";
import type { Desk, Html, Page, PagePart } from "../page.ts";
import { amount, shorten } from "../../units.ts";
import { ago, chip } from "../words.ts";
import { propertyOf } from "../../zeroconf/txt.ts";

/** The page with who is on the network. */
export const peersPage: Page = {
  name: "peers",
  title: "Peers",
  render: (desk) =>
    html`
      <div class="page-head">
        <h1>Peers</h1>
        <p
          class="quiet">Who is on the local network, as they say of themselves by Zeroconf.</p>
      </div>
      ${peersPart(desk).html}
    `,
  parts: (desk) => {
    desk.peers.look();
    return [peersPart(desk)];
  },
  routes: (app, desk) => {
    app.post("/peers/send", async (context) => {
      const form = await context.req.formData();
      const name = String(form.get("name") ?? "");
      const peer = desk.peers.known
        .find(({ service }) => service.name === name)?.service;
      if (peer === undefined) {
        return context.json({ message: "It is not known any more." }, 409);
      }
      await desk.backend.sendTo(peer, String(form.get("message") ?? ""), {
        ...(form.get("unproved") && { trust: "unproved" }),
      });
      return context.json({ message: `Sent to ${peer.deviceId}` });
    });
  },
};

function peersPart(desk: Desk): PagePart {
  const { known, problem, isLooking } = desk.peers;
  return {
    id: "peers",
    html: html`<div id="peers" class="stack">${
      problem === undefined
        ? ""
        : html`<p class="card problem" role="alert">${problem}</p>`
    }${
      known.length > 0
        ? html`${pictureOf(desk, known)}<div class="cards">${
          known.map((each) => cardOf(desk, each))
        }</div>`
        : problem !== undefined
        ? ""
        : html`
          <div class="card empty big">
            <p><strong>${isLooking
              ? "Looking…"
              : "Nobody else is here."}</strong></p>
            <p class="quiet">${isLooking
              ? "Answers take a second or two."
              : "Others are seen once they advertise themselves: registerService(), or listen --advertise. Doctor tells whether multicast works."}</p>
          </div>
        `
    }</div>`,
  };
}

/** So many fit into the picture. */
const MAX_DRAWN = 12;

/** Draws this device in the middle, and the others around it. */
function pictureOf({ backend }: Desk, all: readonly Peer[]): Html {
  const drawn = all.slice(0, MAX_DRAWN);
  const places = drawn.map((peer, at) => {
    const angle = Math.PI * (2 * at / drawn.length - 0.5);
    return {
      peer,
      x: Math.round(360 + 250 * Math.cos(angle)),
      y: Math.round(150 + 100 * Math.sin(angle)),
    };
  });
  const title = `${backend.deviceId} and ${
    amount(all.length, "peer")
  } on the network`;
  return html`
    <figure class="card picture">
      <svg viewBox="0 0 720 300" role="img"
        aria-label="${title}">${places.map(({ peer: { state }, x, y }) =>
          html`
            <line class="wire wire-${state}" x1="360" y1="150" x2="${String(x)}"
              y2="${String(y)}" />
          `
        )}<circle class="node node-own" cx="360" cy="150" r="14"/><text x="360" y="186" class="own">${shorten(
          backend.deviceId,
          20,
        )}</text>${places.map(({ peer: { state, service }, x, y }) =>
          html`
            <circle class="node node-${state}" cx="${String(x)}" cy="${String(
              y,
            )}"
              r="10" />
            <text x="${String(x)}" y="${String(
              y < 150 ? y - 18 : y + 28,
            )}">${shorten(service.deviceId, 18)}</text>
          `
        )}</svg>
      <figcaption class="legend">${raw(
        '<span><span class="key key-here"></span>here</span> <span><span class="key key-unreachable"></span>here, but its Redis does not answer</span> <span><span class="key key-gone"></span>gone</span>',
      )}</figcaption>
    </figure>
  `;
}

function cardOf(desk: Desk, peer: Peer): Html {
  const { service: { deviceId, queue, name }, state } = peer;
  const maySend = !desk.isReadOnly && state !== "gone" && queue !== undefined;
  return html`
    <section class="card peer"
      id="peer-${name.replace(
        /[^\w-]/g,
        "-",
      )}"><div class="card-head"><h2>${deviceId}${deviceId ===
          desk.backend.deviceId
        ? html`
          <span class="quiet">this device</span>
        `
        : ""}</h2>${chip(state)}</div><dl class="facts">${factsOf(peer).map((
          [term, value],
        ) =>
          html`
            <div>
              <dt>${term}</dt>
              <dd class="mono">${value}</dd>
            </div>
          `
        )}</dl>${maySend ? sendForm(desk, name) : ""}</section>
  `;
}

/** Says what is known of a peer: each fact by its name. */
function factsOf(
  { service, state, since, changed }: Peer,
): [name: string, fact: string][] {
  const { queue, redisUrl, addresses, properties } = service;
  const fingerprint = propertyOf(properties, "key");
  return [
    ["Queue", queue ?? "not said"],
    ["Redis", redisUrl ?? "not reached by the network"],
    ["Addresses", addresses.join(", ") || "–"],
    ["Version", propertyOf(properties, "version") ?? "–"],
    state === "gone" ? ["Left", ago(changed)] : ["Since", ago(since)],
    ...(fingerprint ? [["Fingerprint", fingerprint] as [string, string]] : []),
  ];
}

/** Makes the form that sends a message to a peer. */
function sendForm(desk: Desk, name: string): Html {
  const example = {
    type: "event",
    args: { type: "custom.Hello", text: "Hello" },
  };
  return html`
    <details class="send">
      <summary>Send a message</summary>
      <form method="post" action="${desk.path("/peers/send")}"
        data-post><input type="hidden" name="name" value="${name}"><label>Message<textarea name="message" class="mono" rows="5" spellcheck="false">${JSON
          .stringify(
            example,
            null,
            2,
          )}</textarea></label><label class="check"><input type="checkbox" name="unproved" value="yes"> <span>Also if it does not prove who it is</span></label><button class="primary">Send</button></form>
    </details>
  `;
}
