// Reads a QR code with the camera, in browsers that can (BarcodeDetector).

import { Dialog, html, useEffect, useRef, useState } from "../shared/ui.js";

const LOOK_MS = 250;

export const canScan = () =>
  typeof BarcodeDetector !== "undefined" && Boolean(navigator.mediaDevices && navigator.mediaDevices.getUserMedia);

/** `onFound(text)` says whether the text was one; until then the camera looks on. */
export function Scanner({ say, onFound, onClose }) {
  const video = useRef(null);
  const [error, fail] = useState(null);
  useEffect(() => {
    let stream = null;
    let timer = null;
    let isOver = false;
    const start = async () => {
      const detector = new BarcodeDetector({ formats: ["qr_code"] });
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      if (isOver) return stop();
      video.current.srcObject = stream;
      await video.current.play();
      timer = setInterval(async () => {
        const found = await detector.detect(video.current).catch(() => []);
        if (!isOver && found.some(({ rawValue }) => onFound(rawValue))) stop();
      }, LOOK_MS);
      return undefined;
    };
    const stop = () => {
      isOver = true;
      clearInterval(timer);
      if (stream) stream.getTracks().forEach((track) => track.stop());
    };
    start().catch(fail);
    return stop;
  }, []);
  return html`<${Dialog} title=${say("scan_title")} closeLabel=${say("close")} onClose=${onClose}>
    ${error ? html`<p role="alert">${say("scan_failed")}</p>` : html`<video class="viewfinder" ref=${video} muted playsinline></video>`}
  <//>`;
}
