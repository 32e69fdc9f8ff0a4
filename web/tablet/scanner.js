// Reads a QR code with the camera, in browsers that support BarcodeDetector.

import { Dialog, html, useEffect, useRef, useState } from "../shared/ui.js";

const SCAN_INTERVAL_MS = 250;

export const canScan = () =>
  typeof BarcodeDetector !== "undefined" && Boolean(navigator.mediaDevices && navigator.mediaDevices.getUserMedia);

/** Calls `onFound(text)` for each QR code until it returns true. */
export function Scanner({ t, onFound, onClose }) {
  const video = useRef(null);
  const [error, setError] = useState(null);
  useEffect(() => {
    let stream = null;
    let timer = null;
    let isStopped = false;
    const start = async () => {
      const detector = new BarcodeDetector({ formats: ["qr_code"] });
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      if (isStopped) return stop();
      video.current.srcObject = stream;
      await video.current.play();
      timer = setInterval(async () => {
        const codes = await detector.detect(video.current).catch(() => []);
        if (!isStopped && codes.some(({ rawValue }) => onFound(rawValue))) stop();
      }, SCAN_INTERVAL_MS);
      return undefined;
    };
    const stop = () => {
      isStopped = true;
      clearInterval(timer);
      if (stream) stream.getTracks().forEach((track) => track.stop());
    };
    start().catch(setError);
    return stop;
  }, []);
  return html`<${Dialog} title=${t("scan_title")} closeLabel=${t("close")} onClose=${onClose}>
    ${error ? html`<p role="alert">${t("scan_failed")}</p>` : html`<video class="viewfinder" ref=${video} muted playsinline></video>`}
  <//>`;
}
