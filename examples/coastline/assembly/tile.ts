import { readFile } from "./files";

/** Which part of the map one task computes: `/in/tile.txt`, one `name value` pair a line. */
export class Tile {
  index: i32 = 0;
  /** Left and top pixel of the tile in the map. */
  x: i32 = 0;
  y: i32 = 0;
  width: i32 = 0;
  height: i32 = 0;
  /** The whole map: longitudes -180 to 180 from left to right, latitudes 90 to -90 downwards. */
  mapWidth: i32 = 0;
  mapHeight: i32 = 0;

  static read(path: string): Tile {
    const content = readFile(path);
    const lines = String.UTF8.decodeUnsafe(changetype<usize>(content), content.length).split("\n");
    const tile = new Tile();
    for (let i = 0; i < lines.length; i++) {
      if (lines[i].length == 0) continue;
      const pair = lines[i].split(" ");
      if (pair.length != 2) throw new Error(path + ": not a name and a value: " + lines[i]);
      const name = pair[0];
      const value = I32.parseInt(pair[1]);
      if (name == "index") tile.index = value;
      else if (name == "x") tile.x = value;
      else if (name == "y") tile.y = value;
      else if (name == "width") tile.width = value;
      else if (name == "height") tile.height = value;
      else if (name == "mapWidth") tile.mapWidth = value;
      else if (name == "mapHeight") tile.mapHeight = value;
      else throw new Error(path + ": unknown name " + name);
    }
    const fits =
      tile.x >= 0 && tile.width > 0 && tile.x + tile.width <= tile.mapWidth &&
      tile.y >= 0 && tile.height > 0 && tile.y + tile.height <= tile.mapHeight;
    if (!fits) throw new Error(path + ": the tile does not lie in the map");
    return tile;
  }

  /** Longitude, in radians, of the centre of the tile's pixel column `column`. */
  longitude(column: f64): f64 {
    return ((<f64>this.x + column + 0.5) / <f64>this.mapWidth - 0.5) * 2.0 * Math.PI;
  }

  /** Latitude, in radians, of the centre of the tile's pixel row `row`. */
  latitude(row: f64): f64 {
    return (0.5 - (<f64>this.y + row + 0.5) / <f64>this.mapHeight) * Math.PI;
  }
}
