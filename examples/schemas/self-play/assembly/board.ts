export const COLUMNS = 5;
export const ROWS = 4;
const PLACES = COLUMNS * ROWS;

/** Places in a row, four each: along, up, and the two ways aslant. */
export const LINES: StaticArray<i32>[] = [];
/** Which of the three kinds each line is: along, up, aslant. */
export const KINDS: i32[] = [];

function addLines(right: i32, up: i32, kind: i32): void {
  for (let row = 0; row < ROWS; row++) {
    for (let column = 0; column < COLUMNS; column++) {
      const lastColumn = column + 3 * right;
      const lastRow = row + 3 * up;
      if (lastColumn < 0 || lastColumn >= COLUMNS || lastRow < 0 || lastRow >= ROWS) continue;
      const line = new StaticArray<i32>(4);
      for (let i = 0; i < 4; i++) line[i] = (row + i * up) * COLUMNS + column + i * right;
      LINES.push(line);
      KINDS.push(kind);
    }
  }
}
addLines(1, 0, 0);
addLines(0, 1, 1);
addLines(1, 1, 2);
addLines(-1, 1, 2);

/** A game: whose stones are where. Players are 1 and 2; 1 begins. */
export class Board {
  places: StaticArray<u8> = new StaticArray<u8>(PLACES);
  /** Columns in which the stones fell, of which so many count. */
  moves: StaticArray<u8> = new StaticArray<u8>(PLACES);
  count: i32 = 0;
  /** Who moves next. */
  player: u8 = 1;
  /** Who has four in a row; 0 while nobody has. */
  winner: u8 = 0;

  get isOver(): bool {
    return this.winner != 0 || this.count == PLACES;
  }

  /** The game so far: a digit for each column. */
  get record(): string {
    let record = "";
    for (let i = 0; i < this.count; i++) record += this.moves[i].toString();
    return record;
  }

  canPlay(column: i32): bool {
    return column >= 0 && column < COLUMNS && this.places[PLACES - COLUMNS + column] == 0;
  }

  /** Drops a stone of the player whose turn it is. */
  play(column: i32): void {
    const place = this.top(column);
    this.places[place] = this.player;
    if (this.completes(place)) this.winner = this.player;
    this.moves[this.count++] = <u8>column;
    this.player = 3 - this.player;
  }

  /** Takes the last stone back. */
  takeBack(): void {
    this.player = 3 - this.player;
    this.winner = 0;
    const column = this.moves[--this.count];
    this.places[this.top(column) - COLUMNS] = 0;
  }

  /** The lowest free place of a column, or the one above its top. */
  private top(column: i32): i32 {
    let place = column;
    while (place < PLACES && this.places[place] != 0) place += COLUMNS;
    return place;
  }

  /** Whether a stone there makes four in a row. */
  private completes(place: i32): bool {
    const player = this.places[place];
    for (let i = 0; i < LINES.length; i++) {
      const line = LINES[i];
      if (line[0] > place || line[3] < place) continue;
      if (
        this.places[line[0]] == player &&
        this.places[line[1]] == player &&
        this.places[line[2]] == player &&
        this.places[line[3]] == player
      )
        return true;
    }
    return false;
  }
}
