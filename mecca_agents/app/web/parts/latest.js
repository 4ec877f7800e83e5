// Asks for one thing at a time, and next for the last one that was wanted: a turn of the wheel leaves no queue.
export class Latest {
  constructor(use, fail) {
    this.use = use;
    this.fail = fail;
    this.wanted = null;
    this.busy = false;
    this.stopped = false;
  }

  want(url) {
    this.wanted = url;
    if (!this.busy) this.next();
  }

  async next() {
    this.busy = true;
    while (this.wanted && !this.stopped) {
      const url = this.wanted;
      this.wanted = null;
      try {
        const response = await fetch(url);
        const answer = await response.json();
        if (this.stopped) break;
        if (response.ok) this.use(answer, url);
        else this.fail(answer.error ?? `the server answered ${response.status}`);
      } catch (error) {
        if (!this.stopped) this.fail("the server does not answer");
      }
    }
    this.busy = false;
  }

  stop() {
    this.stopped = true;
  }
}
