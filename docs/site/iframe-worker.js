"use strict";
// A page opened from disk may not start a worker: what searches then runs in a frame of the page.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.documentElement.append(frame);
      const inside = frame.contentWindow;
      const tell = (target, data) => target.dispatchEvent(new MessageEvent("message", { data }));
      inside.postMessage = (data) => setTimeout(() => tell(this, data));
      const script = inside.document.createElement("script");
      const loaded = new Promise((done) => (script.onload = done));
      script.src = address;
      inside.document.body.append(script);
      this.postMessage = (data) => loaded.then(() => tell(inside, data));
    }
  };
}
