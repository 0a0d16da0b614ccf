// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    ADMIN,
    ALL_FUNCTIONS,
    ALL_ROLES,
    Application,
    ISchemas,
    MAX_DEPTH,
    Member,
    Schema,
    SchemaId,
    SchemaTerms
} from "./interfaces/ISchemas.sol";

/// @title See {ISchemas}
contract Schemas is ISchemas {
    /// @inheritdoc ISchemas
    uint48 public immutable dropInterval;

    mapping(SchemaId schema => Schema state) private _schemas;
    mapping(SchemaId schema => mapping(address node => Member member)) private _members;
    mapping(SchemaId schema => mapping(address node => Application application)) private _applications;

    constructor(uint48 dropInterval_) {
        require(dropInterval_ != 0, TermOutOfRange("dropInterval", 0, 1, type(uint48).max));
        dropInterval = dropInterval_;
    }

    // --- Views -------------------------------------------------------------------------------------------------------

    /// @inheritdoc ISchemas
    function schemaId(address registrant, SchemaTerms calldata terms) public view returns (SchemaId) {
        return SchemaId.wrap(keccak256(abi.encode(block.chainid, address(this), registrant, terms)));
    }

    /// @inheritdoc ISchemas
    function schemaOf(SchemaId schema) external view returns (Schema memory) {
        return _schemas[schema];
    }

    /// @inheritdoc ISchemas
    function releaseOf(SchemaId schema) external view returns (bytes32) {
        return _schemas[schema].release;
    }

    /// @inheritdoc ISchemas
    function memberOf(SchemaId schema, address node) external view returns (Member memory) {
        return _members[schema][node];
    }

    /// @inheritdoc ISchemas
    function applicationOf(SchemaId schema, address node) external view returns (Application memory) {
        return _applications[schema][node];
    }

    /// @inheritdoc ISchemas
    function pathOf(SchemaId schema, address node, uint8 roles) external view returns (address[] memory path) {
        Member memory member = _members[schema][node];
        require(member.roles & roles == roles && member.roles != 0, RoleMissing(node, member.roles, roles));
        path = new address[](MAX_DEPTH);
        uint256 length;
        address current = node;
        while (true) {
            require(!member.dropped, CutOff(node, current));
            current = member.parent;
            if (current == address(0)) break;
            // INVARIANT: S1 keeps `length` below MAX_DEPTH.
            path[length++] = current;
            member = _members[schema][current];
        }
        assembly ("memory-safe") {
            // Shorten to what was used.
            mstore(path, length)
        }
    }

    // --- Schemas -----------------------------------------------------------------------------------------------------

    /// @inheritdoc ISchemas
    function registerJob(SchemaTerms calldata terms) external returns (SchemaId schema) {
        schema = schemaId(msg.sender, terms);
        require(_schemas[schema].releases == 0, SchemaExists(schema));
        _range("release", uint256(terms.release), 1, type(uint256).max);
        _range("challengeFee", terms.challengeFee, 1, type(uint96).max - 1);
        _range("minimumDeposit", terms.minimumDeposit, uint256(terms.challengeFee) + 1, type(uint96).max);
        _range("rewardFunctions", terms.rewardFunctions, 1, ALL_FUNCTIONS);
        _schemas[schema] = Schema({
            registrant: msg.sender,
            minimumDeposit: terms.minimumDeposit,
            challengeFee: terms.challengeFee,
            releases: 1,
            rewardFunctions: terms.rewardFunctions,
            release: terms.release
        });
        _members[schema][msg.sender].roles = ALL_ROLES;
        emit JobRegistered(schema, msg.sender, terms);
        emit Released(schema, 1, terms.release);
    }

    /// @inheritdoc ISchemas
    function release(SchemaId schema, bytes32 release_) external {
        Schema storage state = _known(schema);
        require(msg.sender == state.registrant, NotPermitted(msg.sender, state.registrant));
        _range("release", uint256(release_), 1, type(uint256).max);
        uint32 number = ++state.releases;
        state.release = release_;
        emit Released(schema, number, release_);
    }

    // --- Members -----------------------------------------------------------------------------------------------------

    /// @inheritdoc ISchemas
    function applyJob(SchemaId schema, uint8 roles, address parent, bytes32 qualification) external {
        _known(schema);
        _range("roles", roles, 1, ALL_ROLES);
        Member memory member = _members[schema][msg.sender];
        // INVARIANT: who is a member has children at most below itself, so only somebody new may choose a parent.
        require(member.roles == 0 || member.parent == parent, HasParent(msg.sender, member.parent));
        uint8 held = _members[schema][parent].roles;
        require(parent != msg.sender && held & ADMIN != 0, RoleMissing(parent, held, ADMIN));
        _applications[schema][msg.sender] = Application(parent, roles);
        emit Applied(schema, msg.sender, parent, roles, qualification);
    }

    /// @inheritdoc ISchemas
    function approveNode(SchemaId schema, address node, uint8 roles) external {
        Application memory application = _applications[schema][node];
        require(
            application.parent == msg.sender && application.roles == roles && roles != 0,
            NotApplied(node, msg.sender, roles)
        );
        Member memory parent = _members[schema][msg.sender];
        require(!parent.dropped, CutOff(node, msg.sender));
        Member storage member = _members[schema][node];
        if (member.roles == 0) {
            uint8 depth = parent.depth + 1;
            require(depth <= MAX_DEPTH, TooDeep(depth, MAX_DEPTH));
            member.parent = msg.sender;
            member.depth = depth;
        }
        // INVARIANT: a member applies to its own parent only, and starting a tree takes back what it applied for.
        uint8 all = member.roles | roles;
        member.roles = all;
        member.dropped = false;
        delete _applications[schema][node];
        emit Approved(schema, node, msg.sender, all);
    }

    /// @inheritdoc ISchemas
    function drop(SchemaId schema, address node) external {
        Member storage member = _members[schema][node];
        require(member.roles != 0 && member.parent == msg.sender, NotPermitted(msg.sender, member.parent));
        require(!member.dropped, CutOff(node, node));
        Member storage admin = _members[schema][msg.sender];
        uint256 least = admin.droppedAt == 0 ? 0 : uint256(admin.droppedAt) + dropInterval;
        require(block.timestamp >= least, DroppedTooSoon(block.timestamp, least));
        admin.droppedAt = uint48(block.timestamp);
        member.dropped = true;
        emit Dropped(schema, node, msg.sender);
    }

    /// @inheritdoc ISchemas
    function startRoot(SchemaId schema) external {
        _known(schema);
        Member storage member = _members[schema][msg.sender];
        require(member.roles == 0 || member.dropped, HasParent(msg.sender, member.parent));
        member.parent = address(0);
        member.roles = ALL_ROLES;
        member.depth = 0;
        member.dropped = false;
        delete _applications[schema][msg.sender];
        emit RootStarted(schema, msg.sender);
    }

    /// @inheritdoc ISchemas
    function publishKey(bytes calldata encryptionKey) external {
        require(
            encryptionKey.length == 33 && (encryptionKey[0] == 0x02 || encryptionKey[0] == 0x03),
            InvalidKey(encryptionKey)
        );
        emit KeyPublished(msg.sender, encryptionKey);
    }

    function _known(SchemaId schema) private view returns (Schema storage state) {
        state = _schemas[schema];
        require(state.releases != 0, UnknownSchema(schema));
    }

    function _range(bytes32 field, uint256 actual, uint256 least, uint256 most) private pure {
        require(actual >= least && actual <= most, TermOutOfRange(field, actual, least, most));
    }
}
