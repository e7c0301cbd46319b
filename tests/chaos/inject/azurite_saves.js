// Loaded into Azurite before its own code (node --require). Azurite writes its tables to disk every five seconds, so a
// kill would take acknowledged writes along, which real storage never does. Here it writes them when it is told to, by
// SIGUSR2, and then says so in the file that AZURITE_SAVED names.
const fs = require("fs");
const Loki = require(require.resolve("lokijs", { paths: [process.argv[1]] }));

const databases = [];
Loki.prototype.autosaveEnable = function () {
  databases.push(this);
};

process.on("SIGUSR2", () => {
  let left = databases.length;
  for (const database of databases) {
    database.saveDatabase((error) => {
      if (error) throw error;
      left -= 1;
      if (left === 0) fs.writeFileSync(process.env.AZURITE_SAVED, "saved");
    });
  }
});
