// The waveform: the loudest sample of each of at most 800 windows, drawn as the web UI draws it.

const WINDOWS = 800;

class Wave {
  constructor(canvas, style) {
    this.canvas = canvas;
    this.style = style;
    this.lanes = [];
    this.reached = 0; // shares of the whole
    this.near = 0;
  }

  // Pass all samples of a recording on and draw what came so far.
  async *scan(pcm, isWanted) {
    const count = Math.min(WINDOWS, Math.max(1, pcm.frames));
    const lanes = Array.from({ length: pcm.channels === 2 ? 2 : 1 }, () => new Float32Array(count));
    this.lanes = lanes;
    let [frame, drawn] = [0, 0];
    for await (const samples of pcm.read()) {
      if (!isWanted()) return;
      yield samples;
      for (let n = 0; n < samples.length; n += 1) {
        const lane = lanes[lanes.length === 2 ? n & 1 : 0];
        const place = Math.floor(((frame + Math.floor(n / pcm.channels)) * count) / pcm.frames);
        const size = Math.abs(samples[n]) / 128;
        if (size > lane[place]) lane[place] = size;
      }
      frame += samples.length / pcm.channels;
      if (frame - drawn < pcm.frames / 20 && frame < pcm.frames) continue;
      drawn = frame;
      this.draw();
    }
  }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = this.canvas.getBoundingClientRect();
    if (!width) return;
    if (this.canvas.width !== Math.round(width * ratio)) this.canvas.width = Math.round(width * ratio);
    if (this.canvas.height !== Math.round(height * ratio)) this.canvas.height = Math.round(height * ratio);
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const color = (name) => getComputedStyle(this.style).getPropertyValue(name).trim();
    const [rest, played, pointed] = [color("--wave"), color("--accent"), color("--wave-near")];
    const bars = Math.max(1, Math.floor(width / 4));
    const lanes = this.lanes.length ? this.lanes : [[0]];
    const room = height / lanes.length;
    lanes.forEach((lane, number) => {
      const heights = Array.from({ length: bars }, (_, bar) => {
        const from = Math.floor((bar * lane.length) / bars);
        const to = Math.max(from + 1, Math.floor(((bar + 1) * lane.length) / bars));
        return lane.slice(from, to).reduce((sum, peak) => sum + peak, 0) / (to - from);
      });
      const loudest = Math.max(16, ...heights);
      heights.forEach((peak, bar) => {
        const share = bar / bars;
        const tall = Math.max(2, Math.pow(peak / loudest, 0.8) * (room - 10));
        context.fillStyle = share < this.reached ? played : share < this.near ? pointed : rest;
        context.fillRect(share * width + 0.75, room * (number + 0.5) - tall / 2, 2.5, tall);
      });
    });
    context.fillStyle = played;
    context.fillRect(Math.min(width - 2, Math.max(0, this.reached * width - 1)), 0, 2, height);
  }
}
