// A button that sends a file of this computer to the server, piece by piece, and says how far it is.
export default {
  props: ["url", "label", "accept", "icon", "multiple"],
  emits: ["sent", "failed"],
  template: `
    <div class="mp">
      <q-btn :label="busy ? 'Sending ' + share + ' %' : label" :icon="icon" :disable="busy" color="primary" no-caps
        @click="$refs.file.click()" />
      <input ref="file" type="file" :accept="accept" :multiple="multiple" style="display: none" @change="chosen" />
    </div>`,
  data() {
    return { busy: false, share: 0 };
  },
  methods: {
    async chosen() {
      const files = [...this.$refs.file.files];
      this.$refs.file.value = "";
      this.busy = true;
      const sent = [];
      for (const file of files) {
        const answer = await this.send(file);
        if (!answer) break;
        sent.push(answer);
      }
      this.busy = false;
      if (sent.length === files.length) this.$emit("sent", sent);
    },
    send(file) {
      return new Promise((resolve) => {
        const request = new XMLHttpRequest();
        const fail = (message) => {
          this.$emit("failed", message);
          resolve(null);
        };
        request.upload.onprogress = (event) => (this.share = Math.floor((100 * event.loaded) / event.total));
        request.onerror = () => fail(`${file.name}: the server took no more of it; is it too large?`);
        request.onload = () => {
          const answer = JSON.parse(request.responseText || "{}");
          if (request.status === 200) resolve(answer.key);
          else fail(answer.error ?? `${file.name}: the server answered ${request.status}`);
        };
        request.open("POST", `${this.url}?name=${encodeURIComponent(file.name)}`);
        request.send(file);
      });
    },
  },
};
