// The camera of a computer, in a dialog; phones open their own behind <input capture>.
import {$} from "./format.js";

/** Whether there is one that a page may ask for (over https or on this machine). */
export async function hasCamera() {
  const devices = await navigator.mediaDevices?.enumerateDevices?.().catch(() => []) ?? [];
  return devices.some((device) => device.kind === "videoinput");
}

function frameOf(video) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, {width: video.videoWidth, height: video.videoHeight});
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", .92); });
}

/** Shows what the camera sees until a photo is taken or the dialog is closed. @returns {Promise<File | null>} */
export async function photograph() {
  const view = $("camera-view"), video = $("camera-sees"), shoot = $("shoot");
  let stream = null, open = true;
  $("camera-says").textContent = "";
  shoot.disabled = true;
  view.showModal();
  const closed = new Promise((resolve) => {
    shoot.onclick = async () => { resolve(await frameOf(video)); view.close(); };
    view.onclose = () => { open = false; resolve(null); };
  });
  try {
    stream = await navigator.mediaDevices.getUserMedia({video: {width: {ideal: 1920}}});
    video.srcObject = stream;
    await video.play();
    shoot.disabled = false;
    if (open) shoot.focus();
  } catch (error) {
    $("camera-says").textContent = error.name === "NotAllowedError" ? "This browser was not allowed to use the camera." : "The camera does not answer.";
  }
  const blob = await closed;
  for (const track of stream?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  return blob && new File([blob], "camera.jpg", {type: "image/jpeg"});
}
